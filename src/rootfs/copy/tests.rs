//! Trees on disk → what a COPY or an ADD of them plans. Where a row says nothing else, `docker
//! build` with BuildKit was seen to do the same.

mod archives;
mod fixture;
mod ignored;
mod metadata;
mod places;
mod sources;
