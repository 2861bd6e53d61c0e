//! Logs a value with a structure, in an event and in the span around it.

#[cfg(tracing_unstable)]
mod user {
    use tracing::field::valuable;
    use tracing::{info, info_span};
    use valuable::Valuable;

    #[derive(Valuable)]
    struct User {
        name: &'static str,
        roles: Vec<Role>,
        password: &'static str,
    }

    #[derive(Valuable)]
    enum Role {
        Reader,
        Owner { since: u32 },
    }

    pub(super) fn log() {
        let user = User {
            name: "ann",
            roles: vec![Role::Reader, Role::Owner { since: 7 }],
            password: "hunter2",
        };
        let nobody = None::<u8>;
        let _span = info_span!("login", of = valuable(&user)).entered();
        info!(
            user = valuable(&user),
            channel = valuable(&7_u8),
            nobody = valuable(&nobody),
            "structured"
        );
    }
}

fn main() {
    let _logs = log_layer::init("structured");
    #[cfg(tracing_unstable)]
    user::log();
}
