# g++.sh: a large translation unit, preprocessed beforehand, compiled by g++.
# needs: g++ catch2
exec g++ -std=c++20 -fsyntax-only -x c++-cpp-output "$1/large.ii"
