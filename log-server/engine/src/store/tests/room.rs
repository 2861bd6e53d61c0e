//! Room on the disk that is not needed any more.

use rusqlite::Connection;

use super::files::*;
use super::*;

#[tokio::test]
async fn the_live_file_gives_back_the_room_of_payloads_that_were_sealed() {
    let data = TempDir::new().unwrap();
    let store = open(&data, Options::default());
    let noise = |no: u64| {
        let mut state = no + 1;
        let digits = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            format!("{:08x}", state >> 32)
        });
        digits.take(10_000).collect::<String>()
    };
    for no in 1..=60 {
        stored(
            &store,
            batch("b", no, &format!(r#"{{"message":"{}"}}"#, noise(no))),
        )
        .await;
    }
    let path = store.inner.contents.live().path().to_owned();
    let pragma = |name: &str| -> i64 {
        let reader = Connection::open(&path).unwrap();
        reader
            .query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))
            .unwrap()
    };
    store.close();
    let unsealed = pragma("page_count");
    let store = open(&data, eager());
    until_sealed(&store);
    until(&store, "the room of the payloads to be given back", |_| {
        // What the block takes, and what may stay free.
        pragma("page_count") < unsealed + 64
    });
    assert_eq!(everything(&store).len(), 60);
    store.close();
    check_sound(&data);
}
