# What a RUN makes, changes and gives to somebody.
FROM mixed:1
RUN echo new > /new && echo more >> /srv/app/file && mkdir -p /a/b/c && echo deep > /a/b/c/d
RUN chown 12:34 /new && chown -R app:more /a && echo again >> /new
RUN cp /srv/app/file /copy && mv /srv/app/other /srv/moved && : > /empty
