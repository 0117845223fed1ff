FROM kilnbase:1
RUN chown www:staff /etc/base.conf && chmod 600 /etc/base.conf
RUN touch /etc/group && cp -p /etc/passwd /tmp/p && mv /tmp/p /etc/passwd
RUN chmod 750 /home/www
