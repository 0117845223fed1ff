FROM kilnbase:1 AS Build
RUN mkdir -p /out/private && echo x > /out/private/file && chown -R 1000:50 /out && chmod 700 /out/private
RUN ln /out/private/file /out/hard && mkfifo /out/pipe && chmod 4755 /out/hard
FROM kilnbase:1
COPY --from=build /out /reset
COPY --from=BUILD --chown=www:staff /out /owned
COPY --from=Build --chmod=640 /out/hard /mode
COPY --from=build /etc/passwd /out/private/* /several/
COPY --from=build /bin/helper /lib/libone.so /libs/
