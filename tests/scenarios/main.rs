//! Scenarios of the city: each says what happened as a ladder, and ends with the checkers of the laws.

mod announced;
mod archive;
mod attended;
mod early;
mod emergency;
mod emergency_calls;
mod failover;
mod failures;
mod families;
mod faults;
mod frames_of_the_notice;
mod hold;
mod identity;
mod leaving;
mod leftovers;
mod network;
mod office;
mod outbound;
mod pracks;
mod refusals;
mod renegotiation;
mod reports;
mod timers;
mod toll_fraud;
mod transfer;
mod transparent;
