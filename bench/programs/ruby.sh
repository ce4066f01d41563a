# ruby.sh: strings, hashes, structs and regular expressions in ruby.
# needs: ruby
exec ruby - <<'RUBY'
Record = Struct.new(:id, :name, :tags)
seed = 7
step = -> { seed = (seed * 1103515245 + 12345) & 0x7fffffff }
total = 0
3.times do
  records = Array.new(60_000) do |i|
    Record.new(i, "name#{step.call % 5000}" * (seed % 7 + 1), Array.new(seed % 6) { |t| "tag#{t}-#{i}" })
  end
  groups = records.group_by { |r| r.name[0, 8] }
  text = records.map { |r| "#{r.id},#{r.name},#{r.tags.join(';')}" }.join("\n")
  back = text.each_line.map { |line| line.chomp.split(",", 3) }
  total += groups.size + back.sum { |id, name, tags| name.gsub(/1/, "one").size + tags.to_s.size }
  records.sort_by!(&:name)
end
puts total
RUBY
