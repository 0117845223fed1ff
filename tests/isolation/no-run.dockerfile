# Nothing is run here: this needs no rights at all.
FROM mixed:1
WORKDIR /made/by/workdir
COPY --chown=app:more tree/ ./
COPY --chmod=4711 tree/one /bin/one
ADD archive.tar /unpacked/
LABEL of="the image"
ENV A=1
USER app
EXPOSE 80
VOLUME /data
ENTRYPOINT ["/bin/one"]
