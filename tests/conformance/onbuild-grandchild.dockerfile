FROM kilnbase:1 AS base
ONBUILD RUN echo once >> /count
ONBUILD WORKDIR /by-trigger
ONBUILD ENV T=1
FROM base AS child
RUN echo child >> /count && pwd >> /count
FROM child
RUN echo grandchild >> /count
ONBUILD LABEL later=yes
