FROM kilnbase:1 AS build
RUN mkdir /out && echo built > /out/app && chmod 755 /out/app && ln -s app /out/link && chown -R 10:20 /out
FROM kilnbase:1
COPY --from=build /out /usr/local/out
COPY --from=build /out/app /bin/app2
COPY --from=0 /out/link /followed
