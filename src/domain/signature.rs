//! What of an address says which video it is: the address without what signs it, in one spelling.

use std::borrow::Cow;

use super::{
    expiry::{epoch, hexadecimal_epoch},
    object_address,
};

/// How a signer signs links.
struct LinkSigner {
    /// The parameter that holds the signature.
    by: &'static str,
    /// One of these is always beside it: the name of the signature alone may be that of anything.
    beside: &'static [&'static str],
    /// All parameters that belong to it. `*` represents any ending.
    all: &'static [&'static str],
}

const SIGNERS: &[LinkSigner] = &[
    LinkSigner {
        by: "x-amz-signature",
        beside: &["x-amz-credential", "x-amz-date", "x-amz-expires"],
        all: &["x-amz-*"],
    },
    LinkSigner {
        by: "x-goog-signature",
        beside: &["x-goog-credential", "x-goog-date", "x-goog-expires"],
        all: &["x-goog-*"],
    },
    // what Aliyun makes of a video (x-oss-process) is another one
    LinkSigner {
        by: "x-oss-signature",
        beside: &["x-oss-credential", "x-oss-date", "x-oss-expires"],
        all: &[
            "x-oss-signature",
            "x-oss-signature-version",
            "x-oss-credential",
            "x-oss-date",
            "x-oss-expires",
            "x-oss-security-token",
            "x-oss-additional-headers",
        ],
    },
    // Tencent COS
    LinkSigner {
        by: "q-signature",
        beside: &["q-ak", "q-sign-time", "q-key-time"],
        all: &["q-*", "x-cos-security-token"],
    },
    // S3, Google Cloud Storage, Aliyun and Huawei in their older forms, Cloudfront
    LinkSigner {
        by: "signature",
        beside: &["awsaccesskeyid", "googleaccessid", "ossaccesskeyid", "accesskeyid", "key-pair-id"],
        all: &[
            "signature",
            "expires",
            "awsaccesskeyid",
            "googleaccessid",
            "ossaccesskeyid",
            "accesskeyid",
            "key-pair-id",
            "policy",
            "x-amz-security-token",
            "x-obs-security-token",
            "security-token",
        ],
    },
    // Azure: a signature states the version of its form
    LinkSigner {
        by: "sig",
        beside: &["sv"],
        all: &[
            "sig", "sv", "ss", "srt", "sp", "st", "se", "sr", "spr", "sip", "si", "skoid", "sktid", "skt",
            "ske", "sks", "skv", "sdd",
        ],
    },
    // SharePoint names the file by it
    LinkSigner { by: "tempauth", beside: &["uniqueid"], all: &["tempauth"] },
];

/// The token of Backblaze B2, which nothing stands beside: `3_2024…`.
const B2: &str = "authorization";

/// Parameters that say when a link expires, in seconds since 1970.
const EXPIRIES: &[&str] = &["expires", "exp", "expiry", "expire", "expiration", "expires_at", "e"];
/// The same in hexadecimal, and what else belongs to them: Discord, Facebook.
const HEX_EXPIRIES: &[(&str, &[&str])] = &[("ex", &["is"]), ("oe", &["_nc_*", "ccb"])];
/// Parameters that sign a link beside one that says when it expires.
const SIGNING: &[&str] =
    &["token", "sig", "signature", "sign", "hash", "hmac", "md5", "auth", "st", "hm", "oh", "policy"];
/// Endings of scripts: a parameter may say which video they send.
const SCRIPTS: &[&str] = &["php", "asp", "aspx", "ashx", "jsp", "do", "cgi", "pl", "py"];

/// An address without fragment and without the parameters that sign it, with its escapes in one spelling.
pub(super) fn unsigned(address: &str) -> Cow<'_, str> {
    let is_plain = memchr::memchr3(b'?', b'#', b'%', address.as_bytes()).is_none();
    if is_plain || object_address::is_object_address(address) {
        return address.into();
    }
    let address = address.split_once('#').map_or(address, |(before, _)| before);
    let Some((base, query)) = address.split_once('?') else { return with_plain_escapes(address.into()) };
    if !query.split('&').any(may_sign) {
        return with_plain_escapes(address.into());
    }
    let parameters: Vec<Parameter<'_>> = query.split('&').map(Parameter::of).collect();
    let signing = signing_of(base, &parameters);
    let kept: Vec<&str> =
        parameters.iter().filter(|own| !own.is_among(&signing)).map(|own| own.text).collect();
    with_plain_escapes(match kept.len() {
        0 => base.into(),
        count if count == parameters.len() => address.into(),
        _ => format!("{base}?{}", kept.join("&")).into(),
    })
}

/// Whether a parameter may sign a link. Nearly none does, and then nothing is taken apart.
fn may_sign(pair: &str) -> bool {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    let mut names = SIGNERS.iter().map(|signer| signer.by).chain(SIGNING.iter().copied()).chain([B2]);
    names.any(|own| own.eq_ignore_ascii_case(name)) || value.starts_with("eyJ") || value.contains(['~', '%'])
}

/// One parameter of a query.
struct Parameter<'a> {
    /// In lower case.
    name: String,
    value: &'a str,
    text: &'a str,
}

impl<'a> Parameter<'a> {
    fn of(text: &'a str) -> Self {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        Self { name: name.to_ascii_lowercase(), value, text }
    }

    fn is_among(&self, names: &[&str]) -> bool {
        let is_named =
            |own: &str| own.strip_suffix('*').map_or(self.name == own, |start| self.name.starts_with(start));
        names.iter().any(|own| is_named(own))
    }
}

/// The names of the parameters that sign a link.
fn signing_of<'a>(base: &str, parameters: &'a [Parameter<'_>]) -> Vec<&'a str> {
    let has = |name: &str| parameters.iter().any(|own| own.name == name);
    let known = SIGNERS.iter().filter(|signer| has(signer.by) && signer.beside.iter().any(|name| has(name)));
    let mut signing: Vec<&str> = known.flat_map(|signer| signer.all.iter().copied()).collect();
    // where the address names no file, what looks like a token may say which video it is
    if !names_a_file(base) {
        return signing;
    }
    let tokens = parameters.iter().filter(|own| is_token(own.value));
    signing.extend(tokens.map(|own| own.name.as_str()));
    let is_of_b2 =
        |own: &&Parameter<'_>| own.name == B2 && own.value.starts_with(|c: char| c.is_ascii_digit());
    signing.extend(parameters.iter().filter(is_of_b2).map(|own| own.name.as_str()));
    let expiries = EXPIRIES.iter().map(|name| (*name, &[][..], is_epoch as fn(&str) -> bool));
    let hexadecimal =
        HEX_EXPIRIES.iter().map(|(name, own)| (*name, *own, is_hexadecimal_epoch as fn(&str) -> bool));
    let mut expiring = expiries
        .chain(hexadecimal)
        .filter(|(name, _, is_time)| parameters.iter().any(|own| own.name == *name && is_time(own.value)));
    if SIGNING.iter().any(|name| has(name))
        && let Some((name, own, _)) = expiring.next()
    {
        signing.push(name);
        signing.extend_from_slice(own);
        signing.extend_from_slice(SIGNING);
    }
    signing
}

/// Whether the last part of a path is the name of a file, and of no script.
fn names_a_file(base: &str) -> bool {
    const ENDING_MAX: usize = 5;
    let path = base.split_once("://").map_or("", |(_, inside)| inside);
    let Some((_, name)) = path.rsplit_once('/') else { return false };
    let Some((_, ending)) = name.rsplit_once('.') else { return false };
    let is_ending =
        (2..=ENDING_MAX).contains(&ending.len()) && ending.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_ending && !SCRIPTS.iter().any(|script| script.eq_ignore_ascii_case(ending))
}

/// `exp=1900000000~acl=/*~hmac=…` of Akamai, whatever the parameter is called; a JSON web token, as Mux has it.
fn is_token(value: &str) -> bool {
    if value.starts_with("eyJ") {
        return value.bytes().filter(|byte| *byte == b'.').count() == 2;
    }
    let signs = [("%3D", "="), ("%3d", "="), ("%7E", "~"), ("%7e", "~")];
    let decoded = signs.iter().fold(value.to_owned(), |text, (escape, sign)| text.replace(escape, sign));
    decoded.contains('~') && decoded.contains("exp=") && decoded.contains("hmac=")
}

fn is_epoch(value: &str) -> bool {
    epoch(value).is_some()
}

/// Eight hexadecimal digits, as Discord and Facebook write seconds since 1970.
fn is_hexadecimal_epoch(value: &str) -> bool {
    hexadecimal_epoch(value).is_some()
}

/// An address whose escapes are in upper case, and which escapes nothing that needs none (RFC 3986, 6.2.2).
fn with_plain_escapes(address: Cow<'_, str>) -> Cow<'_, str> {
    let bytes = address.as_bytes();
    if memchr::memchr(b'%', bytes).is_none() {
        return address;
    }
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at).copied() {
        let digits = bytes.get(at + 1..at + 3).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let Some(digits) = digits.filter(|_| byte == b'%') else {
            plain.push(byte);
            at += 1;
            continue;
        };
        let value = digits.iter().fold(0_u8, |sum, digit| {
            (sum << 4) | u8::try_from(char::from(*digit).to_digit(16).unwrap_or(0)).unwrap_or(0)
        });
        if value.is_ascii_alphanumeric() || b"-._~".contains(&value) {
            plain.push(value);
        } else {
            plain.push(b'%');
            plain.extend(digits.iter().map(u8::to_ascii_uppercase));
        }
        at += 3;
    }
    String::from_utf8(plain).map_or(address, Cow::Owned)
}

#[cfg(test)]
mod tests {
    use crate::domain::SourceUrl;

    fn identity(address: &str) -> String {
        SourceUrl::parse(address).unwrap().without_signature().into_owned()
    }

    #[test]
    fn a_newly_signed_link_of_any_signer_is_the_same_video() {
        for (query, rest) in [
            ("X-Amz-Signature=a&X-Amz-Expires=60", ""),
            ("token=aa&expires=1900000000", ""),
            ("token=aa&expires=1900000000&token_path=%2Fa", "?token_path=%2Fa"),
            ("hdnts=exp=1900000000~acl=/*~hmac=ab", ""),
            ("hdnea=st=1~exp=1900000000~acl=%2f*~hmac=ab&x=1", "?x=1"),
            ("__token__=exp%3D1900000000~hmac%3Dab", ""),
            ("x-oss-signature-version=OSS4-HMAC-SHA256&x-oss-expires=60&x-oss-signature=a", ""),
            ("x-oss-signature=a&x-oss-expires=60&x-oss-process=video/x", "?x-oss-process=video/x"),
            ("X-Goog-Signature=a&X-Goog-Credential=k&X-Goog-Date=1&part=2", "?part=2"),
            ("sv=2024-01-01&sr=b&si=p&sig=a", ""),
            ("Policy=a&Signature=b&Key-Pair-Id=K", ""),
            ("sig=a&expires=1900000000", ""),
            ("OSSAccessKeyId=k&Expires=1900000000&Signature=a&security-token=t", ""),
            ("q-sign-algorithm=sha1&q-ak=a&q-sign-time=1;2&q-signature=b", ""),
            ("e=1900000000&token=ak:sign", ""),
            ("token=eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjF9.c2ln", ""),
            ("ex=65d903de&is=65c68ede&hm=2481f30d", ""),
            ("_nc_cat=1&ccb=1-7&_nc_ohc=x&oh=00_Af&oe=65D903DE&efg=1", "?efg=1"),
            ("Authorization=3_2024", ""),
            ("st=abc&e=1900000000", ""),
            ("md5=abc&expires=1900000000&v=2", "?v=2"),
            // what is no signature says which video it is
            ("token=aa", "?token=aa"),
            ("token=aa&expires=never", "?token=aa&expires=never"),
            ("e=5&hash=a", "?e=5&hash=a"),
            ("expires=1900000000", "?expires=1900000000"),
            ("ex=1&hm=a", "?ex=1&hm=a"),
            ("sig=Xa1", "?sig=Xa1"),
            ("signature=a&expires=never", "?signature=a&expires=never"),
            ("X-Amz-Signature=a", "?X-Amz-Signature=a"),
            ("q-version=2", "?q-version=2"),
        ] {
            let expected = format!("https://host/a.mp4{rest}");
            assert_eq!(identity(&format!("https://host/a.mp4?{query}#t=1")), expected, "{query}");
        }
        let shared = "https://me.sharepoint.com/_layouts/15/download.aspx?UniqueId=1";
        assert_eq!(identity(&format!("{shared}&tempauth=eyJ0")), shared);
        for address in [
            "https://host/get?token=eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjF9.c2ln",
            "https://host/get.php?token=aa&expires=1900000000",
            "https://host/?token=aa&expires=1900000000",
            "https://host/stream?sig=Xa1",
            "https://host/stream?sig=Xa1&expires=1900000000",
            "https://host/stream?signature=a",
            "https://host/stream?q-signature=a",
            "https://host/stream?tempauth=a",
            "https://host/stream?Authorization=a",
            "https://host/stream?Authorization=3_2024",
            "https://host/stream?X-Goog-Signature=a&part=1",
        ] {
            assert_eq!(identity(address), address, "a token alone may say which video it is");
        }
    }

    #[test]
    fn an_escape_in_another_spelling_is_the_same_video_and_is_sent_as_it_is_written() {
        let address = SourceUrl::parse("https://host/%c3%a9/%7Ea%2db%2f.mp4?q=%7e%26").unwrap();
        assert_eq!(address.as_str(), "https://host/%c3%a9/%7Ea%2db%2f.mp4?q=%7e%26");
        assert_eq!(address.without_signature(), "https://host/%C3%A9/~a-b%2F.mp4?q=~%26");
        assert_eq!(identity("https://host/\u{e9}/~a-b%2F.mp4?q=~%26"), address.without_signature());
        for address in ["https://host/100%.mp4", "https://host/%zz%4", "s3://bucket/%7ea"] {
            assert_eq!(identity(address), address);
        }
    }
}
