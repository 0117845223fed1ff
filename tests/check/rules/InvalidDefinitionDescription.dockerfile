# check=experimental=InvalidDefinitionDescription

# The version of the program
ARG VERSION=1

# app is what is shipped
FROM scratch AS app
# VERSION again
ARG VERSION
# only a remark

ARG DEBUG
COPY app /
