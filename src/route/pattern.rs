//! Names as DMS table mappings match them: `%`, `_`, `[_]`, `[ab]`, `[a-d]`, case-sensitive.

use std::fmt;

/// The longest pattern, in characters. No name in an S3 key can be longer than the key's 1,024 bytes.
pub const MAX_PATTERN_CHARS: usize = 1024;

/// A pattern that DMS would not understand, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPattern {
    /// There is no pattern.
    #[error("the pattern is empty and matches nothing")]
    Empty,
    /// It is too long.
    #[error("the pattern is longer than {MAX_PATTERN_CHARS} characters")]
    TooLong,
    /// `[` without `]`.
    #[error("`[` has no `]`")]
    Unclosed,
    /// `]` without `[`.
    #[error("`]` has no `[`")]
    Unopened,
    /// `[]`.
    #[error("`[]` matches nothing")]
    EmptySet,
    /// `[^…]`.
    #[error("`[^` is not of DMS: a set names what matches, never what does not")]
    Negated,
    /// `[d-a]`.
    #[error("the range `{0}-{1}` runs backwards")]
    Backwards(char, char),
}

impl BadPattern {
    /// What a person should write instead.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Empty => "write a name, or `%` for any",
            Self::TooLong => "write a shorter name, and `%` for the rest",
            Self::Unclosed | Self::Unopened | Self::EmptySet | Self::Negated | Self::Backwards(..) => {
                "patterns are as in DMS: `%` any characters, `_` one character, `[_]` an underscore, `[ab]` \
                 a or b, `[a-d]` a to d; a bracket in a name is matched by `_`"
            }
        }
    }
}

/// Characters of a set, as ranges with both ends in.
pub(super) type Ranges = Vec<(char, char)>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// `%`: any number of any characters.
    Any,
    /// `_`: one character, any.
    One,
    /// A character that stands for itself.
    Char(char),
    /// `[ab]`, `[a-d]`: one of these.
    Set(Ranges),
}

impl Token {
    pub(super) fn admits(&self, c: char) -> bool {
        match self {
            Self::Any | Self::One => true,
            Self::Char(own) => *own == c,
            Self::Set(ranges) => ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)),
        }
    }

    /// The ranges of characters that it tells from others.
    #[cfg(feature = "cli")]
    pub(super) fn ranges(&self) -> Ranges {
        match self {
            Self::Any | Self::One => Ranges::new(),
            Self::Char(c) => vec![(*c, *c)],
            Self::Set(ranges) => ranges.clone(),
        }
    }

    /// A character that both admit, if there is one.
    fn common(&self, other: &Self) -> Option<char> {
        match (self, other) {
            (Self::Char(c), token) | (token, Self::Char(c)) => token.admits(*c).then_some(*c),
            (Self::Set(a), Self::Set(b)) => {
                a.iter().find_map(|a| b.iter().find_map(|b| first_common(*a, *b)))
            }
            (Self::Set(ranges), Self::Any | Self::One) | (Self::Any | Self::One, Self::Set(ranges)) => {
                ranges.first().map(|(low, _)| *low)
            }
            (Self::Any | Self::One, Self::Any | Self::One) => Some('x'),
        }
    }
}

fn first_common(a: (char, char), b: (char, char)) -> Option<char> {
    let low = a.0.max(b.0);
    (low <= a.1.min(b.1)).then_some(low)
}

/// A pattern for the names of schemas or tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    tokens: Vec<Token>,
}

impl Pattern {
    /// Reads a pattern as DMS does.
    ///
    /// # Errors
    /// [`BadPattern`] when it is empty, too long, or its brackets make no sense.
    pub fn parse(text: &str) -> Result<Self, BadPattern> {
        if text.is_empty() {
            return Err(BadPattern::Empty);
        }
        if text.chars().nth(MAX_PATTERN_CHARS).is_some() {
            return Err(BadPattern::TooLong);
        }
        let mut tokens: Vec<Token> = Vec::new();
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            let token = match c {
                '%' if tokens.last() == Some(&Token::Any) => continue,
                '%' => Token::Any,
                '_' => Token::One,
                ']' => return Err(BadPattern::Unopened),
                '[' => {
                    let (set, after) = rest.as_str().split_once(']').ok_or(BadPattern::Unclosed)?;
                    rest = after.chars();
                    parse_set(set)?
                }
                c => Token::Char(c),
            };
            tokens.push(token);
        }
        Ok(Self { text: text.to_owned(), tokens })
    }

    /// The pattern that matches one name only, whatever stands in it.
    ///
    /// # Errors
    /// [`BadPattern`] when the name is empty or too long.
    #[cfg(feature = "cli")]
    pub fn literal(name: &str) -> Result<Self, BadPattern> {
        match name.chars().nth(MAX_PATTERN_CHARS) {
            Some(_) => Err(BadPattern::TooLong),
            None if name.is_empty() => Err(BadPattern::Empty),
            None => Ok(Self { text: name.to_owned(), tokens: name.chars().map(Token::Char).collect() }),
        }
    }

    #[cfg(feature = "cli")]
    pub(super) fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it matches one name only.
    pub fn is_literal(&self) -> bool {
        self.tokens.iter().all(|token| matches!(token, Token::Char(_)))
    }

    /// Whether a `%` in it takes names of any length.
    #[cfg(feature = "cli")]
    pub(super) fn is_open(&self) -> bool {
        self.tokens.contains(&Token::Any)
    }

    /// How many characters of a name it fixes.
    pub fn literal_chars(&self) -> usize {
        self.tokens.iter().filter(|token| matches!(token, Token::Char(_))).count()
    }

    /// The pattern as a person would say the name: `log_%` for `log[_]%`.
    pub fn spoken(&self) -> String {
        let spoken = |token: &Token| match token {
            Token::Any => '%',
            Token::One | Token::Set(_) => '_',
            Token::Char(c) => *c,
        };
        self.tokens.iter().map(spoken).collect()
    }

    /// The one name that it is meant for, if no `%` or set says that it is meant for several. `_` stands
    /// for itself here: who writes `order_item` means that table, though DMS reads a pattern.
    pub fn meant_name(&self) -> Option<String> {
        let several = self.tokens.iter().any(|token| matches!(token, Token::Any | Token::Set(_)));
        (!several).then(|| self.spoken())
    }

    /// Whether it matches the whole of `name`.
    ///
    /// On a mismatch only the last `%` takes one character more, so the time is at most the pattern's
    /// length times the name's.
    pub fn matches(&self, name: &str) -> bool {
        let mut rest = name.chars();
        let mut at = 0;
        let mut retry: Option<(usize, std::str::Chars<'_>)> = None;
        loop {
            let before = rest.clone();
            let token = self.tokens.get(at);
            match (token, rest.next()) {
                (Some(Token::Any), _) => {
                    at += 1;
                    rest = before.clone();
                    retry = Some((at, before));
                }
                (Some(token), Some(c)) if token.admits(c) => at += 1,
                (None, None) => return true,
                (_, None) => return false,
                (_, Some(_)) => {
                    let Some((after_any, from)) = retry.as_mut() else { return false };
                    from.next();
                    at = *after_any;
                    rest = from.clone();
                }
            }
        }
    }

    /// Whether some name is matched by both.
    pub fn may_overlap(&self, other: &Self) -> bool {
        self.common_name(other).is_some()
    }

    /// A name that both match, if there is one: exact, by walking both patterns at once.
    pub fn common_name(&self, other: &Self) -> Option<String> {
        let table = Overlap::of(&self.tokens, &other.tokens)?;
        Some(table.name())
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Reads what stands between `[` and `]`. A `-` at an end stands for itself.
fn parse_set(set: &str) -> Result<Token, BadPattern> {
    let chars: Vec<char> = set.chars().collect();
    let mut ranges = Ranges::new();
    let mut rest = chars.as_slice();
    if rest.is_empty() {
        return Err(BadPattern::EmptySet);
    }
    if let ['^', ..] = rest {
        return Err(BadPattern::Negated);
    }
    while let [low, tail @ ..] = rest {
        match tail {
            ['-', high, tail @ ..] => {
                if low > high {
                    return Err(BadPattern::Backwards(*low, *high));
                }
                ranges.push((*low, *high));
                rest = tail;
            }
            tail => {
                ranges.push((*low, *low));
                rest = tail;
            }
        }
    }
    Ok(match ranges.as_slice() {
        [(low, high)] if low == high => Token::Char(*low),
        _ => Token::Set(ranges),
    })
}

/// Two patterns walked at once: `ends[i][j]` says whether `a` from token `i` and `b` from token `j` can
/// match one text.
struct Overlap<'p> {
    a: &'p [Token],
    b: &'p [Token],
    ends: Vec<Vec<bool>>,
}

/// The steps out of one cell of an [`Overlap`].
#[derive(Clone, Copy)]
enum Step {
    /// `a`'s `%` is over.
    SkipA,
    /// `b`'s `%` is over.
    SkipB,
    /// Both take one character, and each moves on unless it is at a `%`.
    Take(char, usize, usize),
}

impl<'p> Overlap<'p> {
    /// Fills the table from the ends of the patterns; `None` when no text is matched by both.
    fn of(a: &'p [Token], b: &'p [Token]) -> Option<Self> {
        if differs_early(a, b) {
            return None;
        }
        let mut table = Self { a, b, ends: vec![vec![false; b.len() + 1]; a.len() + 1] };
        for i in (0..=a.len()).rev() {
            for j in (0..=b.len()).rev() {
                let ends = (i, j) == (a.len(), b.len()) || table.step(i, j).is_some();
                if let Some(cell) = table.ends.get_mut(i).and_then(|row| row.get_mut(j)) {
                    *cell = ends;
                }
            }
        }
        table.ends(0, 0).then_some(table)
    }

    fn ends(&self, i: usize, j: usize) -> bool {
        self.ends.get(i).and_then(|row| row.get(j)).copied().unwrap_or(false)
    }

    /// A step from here that leads to the end. Steps go forward only, so the walk is finite.
    fn step(&self, i: usize, j: usize) -> Option<Step> {
        let (a, b) = (self.a.get(i), self.b.get(j));
        if a == Some(&Token::Any) && self.ends(i + 1, j) {
            return Some(Step::SkipA);
        }
        if b == Some(&Token::Any) && self.ends(i, j + 1) {
            return Some(Step::SkipB);
        }
        let (a, b) = (a?, b?);
        let (next_a, next_b) = match (a, b) {
            (Token::Any, Token::Any) => return None,
            (Token::Any, _) => (i, j + 1),
            (_, Token::Any) => (i + 1, j),
            (_, _) => (i + 1, j + 1),
        };
        let c = a.common(b)?;
        self.ends(next_a, next_b).then_some(Step::Take(c, next_a, next_b))
    }

    /// The text along one way through the table.
    fn name(&self) -> String {
        let mut name = String::new();
        let (mut i, mut j) = (0, 0);
        while let Some(step) = self.step(i, j) {
            match step {
                Step::SkipA => i += 1,
                Step::SkipB => j += 1,
                Step::Take(c, next_a, next_b) => {
                    name.push(c);
                    (i, j) = (next_a, next_b);
                }
            }
        }
        if name.is_empty() { "x".to_owned() } else { name }
    }
}

/// Whether the patterns part before either has a `%`: the common case, found without a table.
fn differs_early(a: &[Token], b: &[Token]) -> bool {
    a.iter()
        .zip(b)
        .take_while(|(a, b)| !matches!((a, b), (Token::Any, _) | (_, Token::Any)))
        .any(|(a, b)| a.common(b).is_none())
}
