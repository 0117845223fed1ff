FROM kilnbase:1
COPY xattrs /x
COPY --from=kilnbase:1 /bin/helper /x/
RUN cp -a /x /y
#: xattrs
