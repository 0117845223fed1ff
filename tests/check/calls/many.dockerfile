# syntax=docker/dockerfile:1

# GO_VERSION of the compiler
ARG GO_VERSION=1.24
ARG BASE=scratch
ARG UNUSED=1

# build compiles the program
FROM ${BASE} AS build
ARG GO_VERSION
# FLAGS for the compiler
ARG FLAGS="-trimpath -ldflags=$GO_VERSION"
RUN --mount=type=secret,id=netrc,required=true \
    --mount=type=ssh \
    make

# test runs all of it
FROM build AS test
ARG CASES
RUN --mount=type=secret,id=token \
    make test

FROM --platform=$BUILDPLATFORM scratch AS docs
COPY app /

# app is what is shipped
FROM scratch AS app
ARG PORT=80
COPY --from=build /app /app
CMD /app
