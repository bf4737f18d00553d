//! What can go wrong with an upload, and how often it does.

/// A fault of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The line is cut before anything happened.
    CutBefore,
    /// The video is accepted, then the connection is cut.
    CutAfter,
    /// The line is cut, and the video is taken later.
    Late,
    /// The video is taken, and no answer ever comes.
    Hang,
    /// The video is taken, and a gateway answers 502.
    BadGateway,
    /// Nothing happened, and a gateway answers 502.
    BadGatewayBefore,
    /// The video is taken, and the answer is a web page.
    Html,
    /// The video is taken, and half an answer comes.
    HalfJson,
    /// The video is taken, and the answer is `0001 network abnormal`.
    Abnormal,
    /// Nothing happened, and the answer is `0001 network abnormal`.
    AbnormalBefore,
    /// The video is taken, and the answer does not name it.
    Unnamed,
    /// The video is taken, and the answer is `0409`.
    Repeated,
    /// Nothing happened, and the answer is `0429`.
    Busy,
    /// Nothing happened, and the answer leads elsewhere (307).
    Redirect,
}

impl Fault {
    /// Every fault, with the word for it on the command line.
    pub const ALL: &'static [(Self, &'static str)] = &[
        (Self::CutBefore, "cut-before"),
        (Self::CutAfter, "cut-after"),
        (Self::Late, "late"),
        (Self::Hang, "hang"),
        (Self::BadGateway, "bad-gateway"),
        (Self::BadGatewayBefore, "bad-gateway-before"),
        (Self::Html, "html"),
        (Self::HalfJson, "half-json"),
        (Self::Abnormal, "abnormal"),
        (Self::AbnormalBefore, "abnormal-before"),
        (Self::Unnamed, "unnamed"),
        (Self::Repeated, "repeated"),
        (Self::Busy, "busy"),
        (Self::Redirect, "redirect"),
    ];

    /// Every fault that does not end a run: a redirect does, since the address must be wrong.
    #[must_use]
    pub fn passing() -> Vec<Self> {
        Self::ALL.iter().map(|(fault, _)| *fault).filter(|fault| *fault != Self::Redirect).collect()
    }

    /// The fault of this name.
    #[must_use]
    pub fn from_name(as_str: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, own)| *own == as_str).map(|(fault, _)| *fault)
    }

    /// Whether the video is accepted nevertheless.
    pub(super) const fn takes_effect(self) -> bool {
        match self {
            Self::CutAfter
            | Self::Late
            | Self::Hang
            | Self::BadGateway
            | Self::Html
            | Self::HalfJson
            | Self::Abnormal
            | Self::Unnamed
            | Self::Repeated => true,
            Self::CutBefore | Self::BadGatewayBefore | Self::AbnormalBefore | Self::Busy | Self::Redirect => {
                false
            }
        }
    }
}

/// How often uploads go wrong, and in which ways.
#[derive(Clone, Debug, PartialEq)]
pub struct Faults {
    /// The share of uploads that go wrong, 0.0 to 1.0.
    pub share: f64,
    /// The ways, each as likely as the others.
    pub kinds: Vec<Fault>,
}

impl Faults {
    /// No fault.
    #[must_use]
    pub const fn none() -> Self {
        Self { share: 0.0, kinds: Vec::new() }
    }

    pub(super) fn draw(&self, rng: &mut fastrand::Rng) -> Option<Fault> {
        let strikes = !self.kinds.is_empty() && rng.f64() < self.share;
        if strikes { rng.choice(&self.kinds).copied() } else { None }
    }
}

/// A fault of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReadFault {
    /// The line is cut.
    Cut,
    /// A gateway answers 502.
    BadGateway,
    /// The last video of the page is missing.
    ShortPage,
    /// The page is empty, though there are videos.
    LostPage,
    /// The total says one less than there is.
    WrongTotal,
    /// The data is null.
    NullData,
}

impl ReadFault {
    /// Every fault of a listing.
    pub const ALL: &'static [Self] =
        &[Self::Cut, Self::BadGateway, Self::ShortPage, Self::LostPage, Self::WrongTotal, Self::NullData];
}

/// A fault of the calls for an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallFault {
    /// No call is made.
    Never,
    /// Each call is made twice.
    Twice,
    /// The first call is made before the upload is answered.
    Early,
    /// The calls are late.
    Late,
    /// The calls have a token that the receiver did not make.
    Forged,
    /// The calls name another video.
    OtherNumber,
}

impl CallFault {
    /// Every fault of calls, with the word for it on the command line.
    pub const ALL: &'static [(Self, &'static str)] = &[
        (Self::Never, "never"),
        (Self::Twice, "twice"),
        (Self::Early, "early"),
        (Self::Late, "late"),
        (Self::Forged, "forged"),
        (Self::OtherNumber, "other-number"),
    ];

    /// The fault of this name.
    #[must_use]
    pub fn from_name(as_str: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, own)| *own == as_str).map(|(fault, _)| *fault)
    }
}

/// A fault of a request to delete videos.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeleteFault {
    /// The line is cut before anything happened.
    CutBefore,
    /// The videos are deleted, then the connection is cut.
    CutAfter,
    /// The videos are deleted, and a gateway answers 502.
    BadGateway,
    /// Nothing happened, and the answer is `0429`.
    Busy,
    /// Nothing happened, and the answer says that they are deleted.
    Ignored,
}

impl DeleteFault {
    /// Every fault of a deletion, with the word for it on the command line.
    pub const ALL: &'static [(Self, &'static str)] = &[
        (Self::CutBefore, "cut-before"),
        (Self::CutAfter, "cut-after"),
        (Self::BadGateway, "bad-gateway"),
        (Self::Busy, "busy"),
        (Self::Ignored, "ignored"),
    ];

    /// The fault of this name.
    #[must_use]
    pub fn from_name(as_str: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, own)| *own == as_str).map(|(fault, _)| *fault)
    }

    /// Whether the videos are deleted nevertheless.
    pub(super) const fn takes_effect(self) -> bool {
        match self {
            Self::CutAfter | Self::BadGateway => true,
            Self::CutBefore | Self::Busy | Self::Ignored => false,
        }
    }
}
