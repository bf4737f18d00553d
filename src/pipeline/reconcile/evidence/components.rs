//! Connected components of attempts and videos: an attempt and a video are linked if it could have made the video.

/// How many attempts and videos are linked, directly or through others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ComponentSize {
    pub(super) attempts: usize,
    pub(super) videos: usize,
}

/// The size of the component of each attempt. Asks for each link at most twice.
pub(super) fn component_sizes(
    attempts: usize,
    videos: usize,
    mut is_linked: impl FnMut(usize, usize) -> bool,
) -> Vec<ComponentSize> {
    let mut component_of: Vec<Option<usize>> = vec![None; attempts];
    let mut sizes: Vec<ComponentSize> = Vec::new();
    let mut unseen: Vec<usize> = (0..videos).collect();
    for first in 0..attempts {
        if component_of[first].is_some() {
            continue;
        }
        let number = sizes.len();
        component_of[first] = Some(number);
        let mut size = ComponentSize { attempts: 1, videos: 0 };
        let mut open = vec![first];
        while let Some(attempt) = open.pop() {
            let (linked, rest): (Vec<usize>, Vec<usize>) =
                unseen.into_iter().partition(|video| is_linked(attempt, *video));
            unseen = rest;
            size.videos += linked.len();
            for video in linked {
                for (other, component) in component_of.iter_mut().enumerate() {
                    if component.is_none() && is_linked(other, video) {
                        *component = Some(number);
                        size.attempts += 1;
                        open.push(other);
                    }
                }
            }
        }
        sizes.push(size);
    }
    component_of.into_iter().flatten().map(|number| sizes[number]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The component of one attempt, grown until it does not grow any more.
    fn grown(attempt: usize, attempts_max: usize, videos_max: usize, links: &[bool]) -> ComponentSize {
        let (mut attempts, mut videos) = (vec![attempt], Vec::new());
        loop {
            let before = (attempts.len(), videos.len());
            for own in 0..attempts_max {
                for video in (0..videos_max).filter(|video| links[own * videos_max + video]) {
                    match (attempts.contains(&own), videos.contains(&video)) {
                        (true, false) => videos.push(video),
                        (false, true) => attempts.push(own),
                        (true, true) | (false, false) => {}
                    }
                }
            }
            if before == (attempts.len(), videos.len()) {
                return ComponentSize { attempts: before.0, videos: before.1 };
            }
        }
    }

    #[test]
    fn every_small_graph_has_the_components_that_growing_finds() {
        let (own, videos) = (3, 4);
        for bits in 0..1_u32 << (own * videos) {
            let links: Vec<bool> = (0..own * videos).map(|bit| bits >> bit & 1 == 1).collect();
            let sizes = component_sizes(own, videos, |attempt, video| links[attempt * videos + video]);
            let expected: Vec<ComponentSize> =
                (0..own).map(|attempt| grown(attempt, own, videos, &links)).collect();
            assert_eq!(sizes, expected, "{bits:b}");
        }
    }
}
