//! One part of several, by the host of an address, so that each host belongs to one part.

use std::{fmt, str::FromStr};

use super::SourceUrl;

/// The part `number` of `count`, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    number: u32,
    count: u32,
}

impl Shard {
    /// Whether an address belongs to this part. It depends on nothing but the host, whatever the program or the machine. Objects in
    /// buckets are divided by the name of the bucket.
    #[must_use]
    pub fn has(self, url: &SourceUrl) -> bool {
        let authority = url.as_str().split_once("://").map_or("", |(_, rest)| rest);
        let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
        // a host has one pace on all of its ports
        let end = match authority.find(']') {
            Some(end) => end + 1,
            None => authority.find(':').unwrap_or(authority.len()),
        };
        let digest = blake3::hash(&authority.as_bytes()[..end]);
        let mut first = [0; 8];
        first.copy_from_slice(&digest.as_bytes()[..8]);
        u64::from_le_bytes(first) % u64::from(self.count) == u64::from(self.number)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('/').and_then(|(number, count)| {
            Some(Self { number: number.parse().ok()?, count: count.parse().ok()? })
        });
        parsed.filter(|shard| shard.number < shard.count).ok_or_else(|| {
            "expected K/N, the part K of N parts; K is from 0 to N-1, such as 0/4, 1/4, 2/4 and 3/4"
                .to_owned()
        })
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shards_of(address: &str, count: u32) -> Vec<u32> {
        let url = SourceUrl::parse(address).unwrap();
        (0..count).filter(|number| Shard { number: *number, count }.has(&url)).collect()
    }

    #[test]
    fn every_address_of_a_host_is_in_the_same_one_of_the_shards() {
        let mut used = [0; 4];
        for host in 0..100 {
            let first = shards_of(&format!("https://host{host}.example/a.mp4"), 4);
            assert_eq!(first.len(), 1, "host {host}");
            for other in ["https://host{}.example:8443/b.mp4?x=1", "http://host{}.example/c/d.mp4"] {
                assert_eq!(shards_of(&other.replace("{}", &host.to_string()), 4), first, "{other}");
            }
            used[first[0] as usize] += 1;
        }
        assert!(used.iter().all(|hosts| *hosts > 10), "{used:?}");
        assert_eq!(
            shards_of("https://[2001:db8::1]:8443/a.mp4", 7),
            shards_of("https://[2001:db8::1]/b.mp4", 7)
        );
        // other programs and machines must find the same
        assert_eq!(shards_of("https://host.example/a.mp4", 1_000), [SHARD_OF_HOST]);
    }

    const SHARD_OF_HOST: u32 = 575;

    #[test]
    fn a_shard_is_one_of_a_number_of_parts() {
        assert_eq!("2/3".parse::<Shard>().unwrap().to_string(), "2/3");
        for wrong in ["3/3", "0/0", "1", "-1/2", "1/2/3", ""] {
            wrong.parse::<Shard>().unwrap_err();
        }
    }
}
