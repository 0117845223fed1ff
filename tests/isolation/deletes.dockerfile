# What is gone, and what takes its place.
FROM mixed:1
RUN rm /srv/tool && rm -r /gone && rm -r /home
RUN mkdir /gone && echo new > /gone/new && touch /made && mkdir /made-dir && touch /made-dir/file
RUN rm -r /made /made-dir /srv/app && echo "a file now" > /srv/app && mkdir /srv/tool
