//! Error numbers as they stand in replies: Linux numbers, printed by name.

use core::fmt;

/// A Linux error number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Errno(pub u32);

macro_rules! errnos {
    ($($(#[$meta:meta])* $name:ident = $number:literal;)*) => {
        impl Errno {
            $( $(#[$meta])* pub const $name: Self = Self($number); )*

            /// The symbolic name, if it is one that this protocol uses.
            pub fn name(self) -> Option<&'static str> {
                match self.0 {
                    $( $number => Some(stringify!($name)), )*
                    _ => None,
                }
            }
        }
    };
}

errnos! {
    /// Not permitted.
    EPERM = 1;
    /// No such file or range.
    ENOENT = 2;
    /// The device cannot be reached now.
    EIO = 5;
    /// The message is larger than agreed.
    E2BIG = 7;
    /// No such file descriptor.
    EBADF = 9;
    /// Try again.
    EAGAIN = 11;
    /// No memory.
    ENOMEM = 12;
    /// The file's permissions are against it.
    EACCES = 13;
    /// Bad address.
    EFAULT = 14;
    /// Busy.
    EBUSY = 16;
    /// The range exists already.
    EEXIST = 17;
    /// No such device.
    ENODEV = 19;
    /// The message makes no sense.
    EINVAL = 22;
    /// The device does not know this request.
    ENOTTY = 25;
    /// A limit is reached.
    ENOSPC = 28;
    /// The file has no position.
    ESPIPE = 29;
    /// A number is out of range.
    ERANGE = 34;
    /// The command is not implemented.
    ENOSYS = 38;
    /// The peer broke the protocol.
    EPROTO = 71;
    /// A sum does not fit.
    EOVERFLOW = 75;
    /// The file is of another kind.
    EBADFD = 77;
    /// There is more than there is room for.
    EMSGSIZE = 90;
    /// The command is known and not offered.
    EOPNOTSUPP = 95;
}

impl fmt::Display for Errno {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => out.write_str(name),
            None => write!(out, "errno {}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::ToString;

    use super::*;

    #[test]
    fn known_numbers_print_as_names_and_others_as_numbers() {
        assert_eq!(Errno::EINVAL.to_string(), "EINVAL");
        assert_eq!(Errno(4095).to_string(), "errno 4095");
    }
}
