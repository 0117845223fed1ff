FROM kilnbase:1
ENV A=1
LABEL a=b
CMD ["sh"]
