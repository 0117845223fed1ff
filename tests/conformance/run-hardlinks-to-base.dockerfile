FROM kilnbase:1
RUN ln /etc/base.conf /etc/base2.conf && ln /bin/helper /usr/helper
RUN echo changed >> /etc/base2.conf
RUN rm /etc/base.conf
