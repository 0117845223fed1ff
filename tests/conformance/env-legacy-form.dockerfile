FROM kilnbase:1
ENV LEGACY some value with  spaces
ENV QUOTED "x y"
LABEL legacy value with spaces
RUN echo "$LEGACY|$QUOTED" > /env.txt
