//! What comes from elsewhere: ADD of addresses and repositories, contexts of every kind.

mod common;

#[path = "remote/built.rs"]
mod built;
#[path = "remote/contexts.rs"]
mod contexts;
#[path = "remote/git.rs"]
mod git;
#[path = "remote/http.rs"]
mod http;
#[path = "remote/named.rs"]
mod named;
#[path = "remote/repository.rs"]
mod repository;
#[path = "remote/server.rs"]
mod server;
