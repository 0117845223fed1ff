FROM kilnbase:1 AS parent
ENV A=env B=env
ARG A=arg
ARG B
RUN echo "$A $B" > /args
LABEL a=$A
FROM parent
RUN echo "$A $B" >> /args
ENV A=env-again
RUN echo "$A" >> /args
