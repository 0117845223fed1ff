FROM kilnbase:1 AS base
ONBUILD RUN echo trigger >> /t
ONBUILD COPY plain.txt /onb/
ONBUILD ENV FROM_TRIGGER=yes
FROM base
RUN echo child >> /t
