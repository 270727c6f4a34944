//! AWS's wildcards, in policies and in rules.

/// AWS's wildcards: `*` for any characters, `?` for one.
pub(super) fn is_like(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut read) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while read < text.len() {
        match pattern.get(at) {
            Some('*') => {
                retry = Some((at, read));
                at += 1;
            }
            Some(c) if *c == '?' || *c == text[read] => {
                at += 1;
                read += 1;
            }
            _ => match retry {
                Some((star, from)) => {
                    retry = Some((star, from + 1));
                    at = star + 1;
                    read = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::is_like;

    #[test]
    fn wildcards_are_those_of_aws() {
        for (pattern, text, expected) in [
            ("arn:aws:s3:::acme", "arn:aws:s3:::acme", true),
            ("arn:aws:s3:::acme*", "arn:aws:s3:::acme-landing", true),
            ("arn:*:s3:*:*:acme", "arn:aws:s3:::acme", true),
            ("*", "", true),
            ("sqs:*", "sqs:sendmessage", true),
            ("sqs:send?essage", "sqs:sendmessage", true),
            ("sqs:receive*", "sqs:sendmessage", false),
            ("acme", "acme-landing", false),
            ("*landing", "acme-landing-2", false),
        ] {
            assert_eq!(is_like(pattern, text), expected, "{pattern} {text}");
        }
    }
}
