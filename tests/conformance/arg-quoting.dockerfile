FROM kilnbase:1
ARG A="quoted value" B='single $A'
ARG C=$A\ and\ more D=${A:+set} EMPTY=
ARG F=${EMPTY:-default}
ENV FROM_ARG=${C} FROM_EMPTY=x${EMPTY}y
RUN echo "$A|$B|$C|$D|$EMPTY|$F" > /args
