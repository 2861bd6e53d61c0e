//! What can be watched: channels and their programme, which the service ships with.

use serde::{Deserialize, Serialize};

/// A channel.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Channel {
    /// Its id in addresses.
    pub id: String,
    /// Its name on screen.
    pub name: String,
    /// What it is about.
    pub category: String,
}

/// Something that is on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Programme {
    /// When it begins, hour of the day in UTC.
    pub hour: u8,
    /// Its title.
    pub title: String,
}

const CHANNELS: [(&str, &str, &str); 16] = [
    ("cctv1", "CCTV-1 综合", "general"),
    ("cctv5", "CCTV-5 体育", "sport"),
    ("cctv13", "CCTV-13 新闻", "news"),
    ("hunan", "湖南卫视", "general"),
    ("dragon", "东方卫视", "general"),
    ("zhejiang", "浙江卫视", "general"),
    ("bbc1", "BBC One", "general"),
    ("bbcnews", "BBC News", "news"),
    ("cnn", "CNN International", "news"),
    ("arte", "ARTE", "culture"),
    ("zdf", "ZDF", "general"),
    ("eurosport", "Eurosport 1", "sport"),
    ("discovery", "Discovery", "documentary"),
    ("natgeo", "National Geographic", "documentary"),
    ("cartoon", "Cartoon Network", "children"),
    ("jazz", "Jazz Radio 爵士", "music"),
];

const TITLES: [&str; 12] = [
    "Morning news",
    "早间新闻",
    "Cooking with what is left",
    "Planet of rivers",
    "足球之夜",
    "The long road",
    "Afternoon film",
    "电视剧：山海",
    "Evening news",
    "新闻联播",
    "Late talk",
    "Night music",
];

/// All channels, or those of one category.
pub fn channels(category: Option<&str>) -> Vec<Channel> {
    let matching = CHANNELS
        .iter()
        .filter(|(_, _, of)| category.is_none_or(|wanted| wanted == *of));
    matching
        .map(|(id, name, category)| Channel {
            id: (*id).into(),
            name: (*name).into(),
            category: (*category).into(),
        })
        .collect()
}

/// A channel by its id.
pub fn channel(id: &str) -> Option<Channel> {
    channels(None).into_iter().find(|channel| channel.id == id)
}

/// What is on today, every two hours. The same channel has the same programme every day.
pub fn programme(channel: &Channel) -> Vec<Programme> {
    let offset = channel.id.bytes().map(usize::from).sum::<usize>();
    let title = |slot: usize| TITLES[(offset + slot * 5) % TITLES.len()].to_owned();
    (0..12u8)
        .map(|slot| Programme {
            hour: slot * 2,
            title: title(usize::from(slot)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_channel_can_be_found_and_has_a_day_of_programme() {
        for known in channels(None) {
            let found = channel(&known.id).unwrap();
            assert_eq!(found.name, known.name);
            assert_eq!(programme(&found).len(), 12);
        }
        assert!(channel("nosuch").is_none());
        assert!(
            channels(Some("news"))
                .iter()
                .all(|channel| channel.category == "news")
        );
    }
}
