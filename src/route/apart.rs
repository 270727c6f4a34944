//! One name for each way in which patterns tell names apart.
//!
//! Two lists of patterns are compared exactly by trying names, if the names are chosen well: of all names that the very
//! same patterns match, one is as good as another. [`names_apart`] walks all patterns at once, as one deterministic
//! automaton made on the way, and gives one name, the shortest, for each set of patterns that some name can match.

use std::collections::{BTreeSet, HashSet};

use super::pattern::{Pattern, Token};

/// How many steps of single patterns a comparison may take. 10,000 tables, named one by one on both sides, take less
/// than half of them; what goes beyond is a list of patterns such as `%a%` by the dozen, each of which doubles the work.
pub const MAX_STEPS: usize = 5_000_000;

/// How a name is changed before a pattern meets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Change<'a> {
    /// Not at all.
    AsIs,
    /// To lower case, character by character.
    Lowercase,
    /// To upper case, character by character.
    Uppercase,
    /// Where it begins with `old`, that becomes `new`; any other name stays. An empty `old` adds.
    Prefix {
        /// What it may begin with.
        old: &'a str,
        /// What it begins with then.
        new: &'a str,
    },
    /// The same at the end.
    Suffix {
        /// What it may end with.
        old: &'a str,
        /// What it ends with then.
        new: &'a str,
    },
}

impl Change<'_> {
    /// What becomes of one name.
    pub fn of(self, name: &str) -> String {
        match self {
            Self::AsIs => name.to_owned(),
            Self::Lowercase => name.chars().map(lower).collect(),
            Self::Uppercase => name.chars().map(upper).collect(),
            Self::Prefix { old, new } => match name.strip_prefix(old) {
                Some(rest) => format!("{new}{rest}"),
                None => name.to_owned(),
            },
            Self::Suffix { old, new } => match name.strip_suffix(old) {
                Some(rest) => format!("{rest}{new}"),
                None => name.to_owned(),
            },
        }
    }
}

/// The lower case of a character that has one of a single character.
fn lower(c: char) -> char {
    single(c.to_lowercase()).unwrap_or(c)
}

/// The upper case of a character that has one of a single character.
fn upper(c: char) -> char {
    single(c.to_uppercase()).unwrap_or(c)
}

fn single(mut cased: impl Iterator<Item = char>) -> Option<char> {
    let first = cased.next();
    if cased.next().is_some() { None } else { first }
}

/// More patterns meet more names than can be told apart in reasonable time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the patterns overlap in more ways than can be walked through")]
pub struct TooManyWays;

/// What is left of [`MAX_STEPS`].
#[derive(Debug)]
pub struct Effort(usize);

impl Default for Effort {
    fn default() -> Self {
        Self(MAX_STEPS)
    }
}

impl Effort {
    fn spend(&mut self, steps: usize) -> Result<(), TooManyWays> {
        self.0 = self.0.checked_sub(steps).ok_or(TooManyWays)?;
        Ok(())
    }
}

/// One name for each set of these patterns that some name, changed as the pattern's [`Change`] says, can match; the empty set
/// among them, if there is such a name. Names have at least one character.
///
/// # Errors
/// [`TooManyWays`] when `effort` is used up.
pub fn names_apart<'p>(
    patterns: impl IntoIterator<Item = (&'p Pattern, Change<'p>)>,
    effort: &mut Effort,
) -> Result<Vec<String>, TooManyWays> {
    let mut seen = HashSet::new();
    let mut machines = Vec::new();
    for (pattern, change) in patterns {
        if seen.insert((pattern.as_str(), pattern.is_literal(), change)) {
            machines.extend(machines_of(pattern.tokens(), change));
        }
    }
    Walk::new(&machines).names(effort)
}

/// In which case a machine reads a name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Case {
    AsIs,
    Lower,
    Upper,
}

impl Case {
    fn of(self, c: char) -> char {
        match self {
            Self::AsIs => c,
            Self::Lower => lower(c),
            Self::Upper => upper(c),
        }
    }
}

/// A pattern as it meets unchanged names: `head`, then the tokens from one of `entries` to one of `exits`, then
/// `tail`. A prefix that is added has moved the entries on, one that is removed is the head; the same with
/// exits and tail at the end.
struct Machine {
    head: Vec<char>,
    entries: Vec<usize>,
    tokens: Vec<Token>,
    exits: Vec<bool>,
    tail: Vec<char>,
    case: Case,
    /// For each token, by which characters it tells characters apart.
    borders: Vec<Vec<char>>,
}

fn machines_of(tokens: &[Token], change: Change<'_>) -> Vec<Machine> {
    let plain = |case| Machine::plain(tokens.to_vec(), case);
    match change {
        Change::AsIs => vec![plain(Case::AsIs)],
        Change::Lowercase => vec![plain(Case::Lower)],
        Change::Uppercase => vec![plain(Case::Upper)],
        Change::Prefix { old, new } => {
            let mut changed = Machine { head: old.chars().collect(), ..plain(Case::AsIs) };
            changed.entries = changed.after(vec![0], new);
            let begins =
                Machine { head: old.chars().collect(), ..Machine::plain(vec![Token::Any], Case::AsIs) };
            vec![plain(Case::AsIs), changed, begins]
        }
        Change::Suffix { old, new } => {
            let mut changed = Machine { tail: old.chars().collect(), ..plain(Case::AsIs) };
            let end = tokens.len();
            changed.exits = (0..=end).map(|from| changed.after(vec![from], new).contains(&end)).collect();
            let ends =
                Machine { tail: old.chars().collect(), ..Machine::plain(vec![Token::Any], Case::AsIs) };
            vec![plain(Case::AsIs), changed, ends]
        }
    }
}

impl Machine {
    fn plain(tokens: Vec<Token>, case: Case) -> Self {
        let exits = (0..=tokens.len()).map(|at| at == tokens.len()).collect();
        let borders = tokens.iter().map(|token| borders(token, case)).collect();
        Self { head: Vec::new(), entries: vec![0], tokens, exits, tail: Vec::new(), case, borders }
    }

    /// Where one can be among the tokens after reading `text` from one of `from`.
    fn after(&self, from: Vec<usize>, text: &str) -> Vec<usize> {
        let mut at = self.skipping(from);
        for c in text.chars() {
            at = self.skipping(at.into_iter().filter_map(|at| self.next_token(at, c)).collect());
        }
        at
    }

    /// These places, and those behind a `%` that takes nothing more.
    fn skipping(&self, mut places: Vec<usize>) -> Vec<usize> {
        let mut next = 0;
        while let Some(at) = places.get(next).copied() {
            if self.tokens.get(at) == Some(&Token::Any) && !places.contains(&(at + 1)) {
                places.push(at + 1);
            }
            next += 1;
        }
        places.sort_unstable();
        places.dedup();
        places
    }

    fn next_token(&self, at: usize, c: char) -> Option<usize> {
        match self.tokens.get(at)? {
            Token::Any => Some(at),
            token => token.admits(self.case.of(c)).then_some(at + 1),
        }
    }

    /// Places are numbered through: those in the head, those among the tokens, those in the tail.
    fn places(&self) -> usize {
        self.accepting() + 1
    }

    fn first_token(&self) -> usize {
        self.head.len()
    }

    fn first_of_tail(&self) -> usize {
        self.first_token() + self.tokens.len() + 1
    }

    fn accepting(&self) -> usize {
        self.first_of_tail() + self.tail.len()
    }

    fn start(&self, places: &mut Vec<usize>) {
        if self.head.is_empty() { self.enter(&self.entries, places) } else { places.push(0) }
    }

    /// Adds places among the tokens, with all that is reached from them without a character.
    fn enter(&self, tokens: &[usize], places: &mut Vec<usize>) {
        for at in self.skipping(tokens.to_vec()) {
            places.push(self.first_token() + at);
            if self.exits.get(at) == Some(&true) {
                places.push(self.first_of_tail());
            }
        }
    }

    /// Adds the places that `c` leads to from `place`.
    fn step(&self, place: usize, c: char, places: &mut Vec<usize>) {
        if place >= self.first_of_tail() {
            if self.tail.get(place - self.first_of_tail()) == Some(&c) {
                places.push(place + 1);
            }
        } else if place >= self.first_token() {
            places_of(self.next_token(place - self.first_token(), c), |at| self.enter(&[at], places));
        } else if self.head.get(place) == Some(&c) {
            if place + 1 == self.first_token() {
                self.enter(&self.entries, places)
            } else {
                places.push(place + 1)
            }
        }
    }

    /// Whoever stands at a `%` can do all that one further ahead could: those places say nothing more.
    fn prune(&self, places: &mut Vec<usize>) {
        let tokens = self.first_token()..self.first_of_tail();
        let is_any = |place: &&usize| {
            tokens.contains(*place) && self.tokens.get(**place - tokens.start) == Some(&Token::Any)
        };
        if let Some(last) = places.iter().filter(is_any).max().copied() {
            places.retain(|place| *place >= last);
        }
    }

    /// Adds the characters by which this place can tell characters apart.
    fn interests(&self, place: usize, interests: &mut Interests) {
        match place.checked_sub(self.first_token()) {
            None => interests.found.extend(self.head.get(place).into_iter().flat_map(|c| from_to(*c, *c))),
            Some(at) if place < self.first_of_tail() => {
                interests.found.extend(self.borders.get(at).into_iter().flatten());
                interests.underscore_first |= self.tokens.get(at) == Some(&Token::One);
            }
            Some(_) => {
                let next = self.tail.get(place - self.first_of_tail());
                interests.found.extend(next.into_iter().flat_map(|c| from_to(*c, *c)));
            }
        }
    }
}

fn places_of(at: Option<usize>, add: impl FnOnce(usize)) {
    if let Some(at) = at {
        add(at);
    }
}

/// Characters of which each stands for all that the places of a state treat alike.
#[derive(Default)]
struct Interests {
    /// Where the places begin to treat characters in another way than those before.
    found: BTreeSet<char>,
    underscore_first: bool,
}

impl Interests {
    /// All of them, the most natural first.
    fn into_chars(self) -> impl Iterator<Item = char> {
        let natural = if self.underscore_first { ['_', 'x', '1'] } else { ['x', '_', '1'] };
        natural.into_iter().chain(self.found)
    }
}

/// Where a token begins to treat characters of the name in another way than those before.
fn borders(token: &Token, case: Case) -> Vec<char> {
    let mut found = Vec::new();
    for (low, high) in token.ranges() {
        found.extend(from_to(low, high));
        if case != Case::AsIs {
            let range = low..=high;
            let moves = |c: &&char| range.contains(*c) != range.contains(&case.of(**c));
            found.extend(CASED.iter().filter(moves).flat_map(|c| from_to(*c, *c)));
        }
    }
    found
}

/// The first character of a range, and the first behind it.
fn from_to(low: char, high: char) -> impl Iterator<Item = char> {
    [low].into_iter().chain((high..=char::MAX).nth(1))
}

/// Every character that has another case.
static CASED: std::sync::LazyLock<Vec<char>> =
    std::sync::LazyLock::new(|| ('\0'..=char::MAX).filter(|c| lower(*c) != *c || upper(*c) != *c).collect());

/// Where all machines can be after one and the same text: numbers of machines and places in them, sorted.
type State = Vec<(usize, usize)>;

struct Walk<'m> {
    machines: &'m [Machine],
    states: HashSet<State>,
    /// The states in the order in which they were found, each with the one before it and the character in between.
    trail: Vec<(State, usize, char)>,
}

impl<'m> Walk<'m> {
    fn new(machines: &'m [Machine]) -> Self {
        Self { machines, states: HashSet::new(), trail: Vec::new() }
    }

    fn names(mut self, effort: &mut Effort) -> Result<Vec<String>, TooManyWays> {
        let mut start = State::new();
        for (number, machine) in self.machines.iter().enumerate() {
            effort.spend(machine.places())?;
            let mut places = Vec::new();
            machine.start(&mut places);
            push_places(number, machine, places, &mut start);
        }
        // The start is not noted as a state: it stands for the empty name, and may be met again behind a character.
        self.trail.push((start, 0, '\0'));
        let mut names = Vec::new();
        let mut ways: HashSet<Vec<usize>> = HashSet::new();
        let mut at = 0;
        while at < self.trail.len() {
            let state = self.trail.get(at).map(|(state, ..)| state.clone()).unwrap_or_default();
            if at > 0 && ways.insert(self.accepted(&state)) {
                names.push(self.name(at));
            }
            self.follow(at, &state, effort)?;
            at += 1;
        }
        Ok(names)
    }

    /// Goes on from a state by every character that makes a difference.
    fn follow(&mut self, at: usize, state: &State, effort: &mut Effort) -> Result<(), TooManyWays> {
        let mut interests = Interests::default();
        for (number, place) in state {
            if let Some(machine) = self.machines.get(*number) {
                machine.interests(*place, &mut interests);
            }
        }
        for c in interests.into_chars() {
            effort.spend(state.len() + 1)?;
            let next = self.next(state, c);
            if self.states.insert(next.clone()) {
                self.trail.push((next, at, c));
            }
        }
        Ok(())
    }

    fn next(&self, state: &State, c: char) -> State {
        let mut next = State::new();
        for of_one in state.chunk_by(|a, b| a.0 == b.0) {
            let Some((number, _)) = of_one.first() else { continue };
            let Some(machine) = self.machines.get(*number) else { continue };
            let mut places = Vec::new();
            for (_, place) in of_one {
                machine.step(*place, c, &mut places);
            }
            push_places(*number, machine, places, &mut next);
        }
        next
    }

    /// The machines that a name is accepted by if it ends here.
    fn accepted(&self, state: &State) -> Vec<usize> {
        let accepts = |(number, place): &&(usize, usize)| {
            self.machines.get(*number).is_some_and(|machine| machine.accepting() == *place)
        };
        state.iter().filter(accepts).map(|(number, _)| *number).collect()
    }

    /// The characters on the way to a state.
    fn name(&self, mut at: usize) -> String {
        let mut backwards = Vec::new();
        while let Some((_, before, c)) = self.trail.get(at).filter(|_| at > 0) {
            backwards.push(*c);
            at = *before;
        }
        backwards.into_iter().rev().collect()
    }
}

fn push_places(number: usize, machine: &Machine, mut places: Vec<usize>, state: &mut State) {
    machine.prune(&mut places);
    places.sort_unstable();
    places.dedup();
    state.extend(places.into_iter().map(|place| (number, place)));
}
