//! SplitMix64: seeded numbers that are the same on every machine and in every version of every crate.

/// A stream of pseudo-random numbers.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random(mix(seed))
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        let product = u128::from(self.number()) * u128::from(end);
        u64::try_from(product >> 64).unwrap_or_default()
    }

    /// The same, for times.
    pub(crate) fn time_below(&mut self, end: u32) -> i64 {
        i64::try_from(self.below(end.into())).unwrap_or_default()
    }
}

/// The item with this number, wrapping around.
pub(crate) fn pick<T: Copy>(items: &[T], number: u64) -> T {
    items[usize::try_from(number % items.len() as u64).unwrap_or_default()]
}

/// Scrambles a number: the finalizer of SplitMix64.
pub(crate) fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// A version 4 UUID made from two numbers.
pub(crate) fn uuid(high: u64, low: u64) -> String {
    let (variant, low) = (8 + (low >> 62), low & 0xffff_ffff_ffff);
    let parts = (high >> 32, (high >> 16) & 0xffff, high & 0xfff, (high >> 44) & 0xfff);
    format!("{:08x}-{:04x}-4{:03x}-{variant:x}{:03x}-{low:012x}", parts.0, parts.1, parts.2, parts.3)
}
