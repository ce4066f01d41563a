/* check.h: a program that does not go on when something does not hold; says what.  tests */
#pragma once

#include <stdio.h>
#include <unistd.h>

#define CHECK(condition)                                                    \
  do {                                                                      \
    if (!(condition)) {                                                     \
      fprintf(stderr, "line %d: %s does not hold\n", __LINE__, #condition); \
      _exit(1);                                                             \
    }                                                                       \
  } while (0)
