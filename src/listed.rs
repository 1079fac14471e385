//! Enums that can list their own values, so that a list in a test or a document forgets none.

/// Defines an enum, and `all()`, which gives each of its values once. A variant may hold a value of
/// another enum that was defined so.
macro_rules! listed {
    (
        $(#[$attribute:meta])*
        pub enum $name:ident {
            $( $(#[$about:meta])* $variant:ident ),+ $(,)?
        }
    ) => {
        $(#[$attribute])*
        pub enum $name {
            $( $(#[$about])* $variant ),+
        }

        impl $name {
            /// Each value once, in the order of the definition.
            pub fn all() -> impl Iterator<Item = Self> {
                [ $( Self::$variant ),+ ].into_iter()
            }
        }
    };
    (
        $(#[$attribute:meta])*
        pub enum $name:ident {
            $( $(#[$about:meta])* $variant:ident $(($inner:ident))? ),+ $(,)?
        }
    ) => {
        $(#[$attribute])*
        pub enum $name {
            $( $(#[$about])* $variant $(($inner))? ),+
        }

        impl $name {
            /// Each value once, in the order of the definition.
            pub fn all() -> impl Iterator<Item = Self> {
                std::iter::empty()$(.chain(listed!(@values $variant $(($inner))?)))+
            }
        }
    };
    (@values $variant:ident) => { std::iter::once(Self::$variant) };
    (@values $variant:ident ($inner:ident)) => { $inner::all().map(Self::$variant) };
}
