# cxx_compiler.sh: g++ compiles a large generated file; the object file and the program's answer are compared.
# runs: g++ cc1plus as ld
# limit: 120 400
functions=$([[ $SIZE == smoke ]] && echo 10 || echo 80)
{
    printf '#include <%s>\n' algorithm functional iostream map memory regex string unordered_map variant vector
    for ((i = 0; i < functions; i++)); do
        cat <<CODE
struct Tag$i { int value; bool operator<(const Tag$i& o) const { return value < o.value; } };
long work$i(long seed) {
  std::map<Tag$i, std::string> names;
  std::unordered_map<std::string, std::variant<int, std::string, Tag$i>> found;
  for (int k = 0; k < 50; k++) names[Tag$i{int((seed * k + $i) % 97)}] = std::to_string(seed * k) + "/$i";
  for (auto& [tag, name] : names) found[name] = tag;
  std::vector<std::function<long(long)>> steps;
  for (auto& [name, value] : found) steps.push_back([n = name.size(), w = value.index()](long x) { return x * 31 + n + w; });
  for (auto& step : steps) seed = step(seed) % 1000003;
  return seed;
}
CODE
    done
    echo 'int main() { long x = 1;'
    for ((i = 0; i < functions; i++)); do echo "x = work$i(x);"; done
    echo 'std::cout << x << "\n"; }'
} >large.cc
wc -l large.cc
g++ -std=c++20 -O1 -g -frandom-seed=1 -fdebug-prefix-map="$PWD=." -c large.cc -o large.o
md5sum large.o
g++ large.o -o large
./large
