FROM scratch
ARG VERSION
ENV PATH=$PAHT:/opt/bin
COPY app-${VERSOIN} \
     app-$VERSION \
     /srv/$NAME/
LABEL made=${WHEN:-never}
