FROM kilnbase:1
ARG A="quoted value" B='single $A' C=$A\ and\ more
ARG D=${A:+set} EMPTY= F=${EMPTY:-default}
ENV FROM_ARG=${C} FROM_EMPTY=x${EMPTY}y
RUN echo "$A|$B|$C|$D|$EMPTY|$F" > /args
ENV A=env
ARG A=arg
RUN echo "$A" >> /args
