FROM kilnwithcmd:1 AS cleared
CMD []
ENTRYPOINT []
FROM cleared
LABEL x=y
