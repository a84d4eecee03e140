package io.github.dl4jretention.samples.lesson;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Random;
import java.util.stream.Collectors;

/**
 * Small skills, as texts made by seed: adding and subtracting numbers below 100, sorting letters, turning a list around,
 * and patterns that are to be found in the lines before. A tenth of the problems of each kind is in no text: those whose
 * hash says so, whatever the seed.
 */
public final class Skills {

    private static final List<String> WORDS = List.of(
            ("sun moon star tree leaf root stone sand hill lake river sea boat fish bird cat dog horse cow sheep lion bear wolf"
                            + " fox mouse apple pear plum nut bread milk salt sugar tea cup plate spoon knife table chair"
                            + " door wall roof house road bridge town king queen book pen lamp key ring coin hat coat shoe"
                            + " bag box bell drum song")
                    .split(" "));

    private static final int LINES = 7;
    private static final int SHOTS = 5;
    private static final int BELOW = 100;

    private Skills() {}

    /** What the lines of a document have in common. */
    private enum Skill {
        ADDING {
            @Override
            Line line(Rule rule, Random random) {
                int a = random.nextInt(BELOW);
                int b = random.nextInt(BELOW);
                return new Line(a + " + " + b + " =", String.valueOf(a + b));
            }
        },
        SUBTRACTING {
            @Override
            Line line(Rule rule, Random random) {
                int a = random.nextInt(BELOW);
                int b = random.nextInt(a + 1);
                return new Line(a + " - " + b + " =", String.valueOf(a - b));
            }
        },
        SORTING {
            @Override
            Line line(Rule rule, Random random) {
                List<String> letters = letters(random);
                return new Line(
                        "Sort: " + String.join(" ", letters) + " ->",
                        letters.stream().sorted().collect(Collectors.joining(" ")));
            }
        },
        TURNING {
            @Override
            Line line(Rule rule, Random random) {
                List<String> letters = letters(random);
                List<String> turned = new ArrayList<>(letters);
                Collections.reverse(turned);
                return new Line("Reverse: " + String.join(" ", letters) + " ->", String.join(" ", turned));
            }
        },
        PATTERN {
            @Override
            Line line(Rule rule, Random random) {
                List<String> words = new ArrayList<>(WORDS);
                Collections.shuffle(words, random);
                words = words.subList(0, 3);
                return new Line(String.join(" ", words) + " ->", rule.apply(words));
            }
        };

        abstract Line line(Rule rule, Random random);

        private static List<String> letters(Random random) {
            List<String> letters = new ArrayList<>(List.of("abcdefghijklmnopqrstuvwxyz".split("")));
            Collections.shuffle(letters, random);
            return letters.subList(0, 3 + random.nextInt(3));
        }

        String label() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    /** What a pattern does with three words. */
    private enum Rule {
        FIRST,
        SECOND,
        LAST,
        TURNED,
        FIRST_TWICE,
        LAST_FIRST;

        String apply(List<String> words) {
            return switch (this) {
                case FIRST -> words.get(0);
                case SECOND -> words.get(1);
                case LAST -> words.get(2);
                case TURNED -> words.get(2) + " " + words.get(1) + " " + words.get(0);
                case FIRST_TWICE -> words.get(0) + " " + words.get(0);
                case LAST_FIRST -> words.get(2) + " " + words.get(0);
            };
        }
    }

    /** @param asked what comes before the answer */
    private record Line(String asked, String answer) {

        boolean held() {
            return Problems.isHeld(asked);
        }

        @Override
        public String toString() {
            return asked + " " + answer + "\n";
        }
    }

    private static Line line(Skill skill, Rule rule, boolean held, Random random) {
        Line line = skill.line(rule, random);
        while (line.held() != held) {
            line = skill.line(rule, random);
        }
        return line;
    }

    /**
     * {@return documents of seven lines of one skill each}
     *
     * @param count how many
     * @param seed  of what they say
     */
    public static List<String> documents(int count, long seed) {
        Random random = new Random(seed);
        List<String> documents = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            Skill skill = Skill.values()[i % Skill.values().length];
            documents.add(lines(skill, LINES, random) + "\n");
        }
        return documents;
    }

    private static String lines(Skill skill, int count, Random random) {
        Rule rule = Rule.values()[random.nextInt(Rule.values().length)];
        StringBuilder lines = new StringBuilder();
        for (int i = 0; i < count; i++) {
            lines.append(line(skill, rule, false, random));
        }
        return lines.toString();
    }

    /**
     * {@return calculations that no text has, each after five that texts may have: additions and subtractions in turn}
     *
     * @param count how many at most: it ends when the subtractions do, of which there are some 500
     * @param seed  of which
     */
    public static List<Asked> arithmetic(int count, long seed) {
        return asked(count, seed, Skill.ADDING, Skill.SUBTRACTING);
    }

    /**
     * {@return lists to sort and to turn around that no text has, each after five lines of the same}
     *
     * @param count how many
     * @param seed  of which
     */
    public static List<Asked> lists(int count, long seed) {
        return asked(count, seed, Skill.SORTING, Skill.TURNING);
    }

    /**
     * {@return patterns, each to be found in five lines and applied to words that no text has together}
     *
     * @param count how many
     * @param seed  of which
     */
    public static List<Asked> patterns(int count, long seed) {
        return asked(count, seed, Skill.PATTERN);
    }

    private static List<Asked> asked(int count, long seed, Skill... skills) {
        Random random = new Random(seed);
        return Problems.different(
                count,
                number -> {
                    Skill skill = skills[number % skills.length];
                    Rule rule = Rule.values()[random.nextInt(Rule.values().length)];
                    StringBuilder before = new StringBuilder();
                    for (int i = 0; i < SHOTS; i++) {
                        before.append(line(skill, rule, false, random));
                    }
                    Line line = line(skill, rule, true, random);
                    return new Asked(skill.label(), before + line.asked, line.answer, List.of());
                },
                asked -> asked.question().substring(asked.question().lastIndexOf('\n') + 1));
    }
}
