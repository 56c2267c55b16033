//! The proxy from outside, through real sockets.

mod deadlines;
mod fields;
mod framing;
mod stop;
mod streams;
mod tunnels;
mod upstream;
