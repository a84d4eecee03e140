package io.github.dl4jretention.samples.lesson;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.Function;
import java.util.function.IntFunction;
import java.util.stream.Collectors;
import org.apache.commons.csv.CSVRecord;

/** What the samples' base is finetuned on, made by seed: texts to learn from, and others of the same kind to measure with. */
public final class Problems {

    /** Of questions that are asked. */
    public static final long QUESTIONS_SEED = 20240703;

    /** Of texts that are learned. */
    public static final long LEARNED_SEED = 20240704;

    private static final List<String> NAMES = List.of(
            "Tom", "Anna", "Ben", "Clara", "David", "Emma", "Frank", "Greta", "Henry", "Ida", "Jack", "Kate", "Leo",
            "Mary", "Nick", "Olga");

    private static final List<String> THINGS = List.of(
            "apples", "pears", "nuts", "eggs", "books", "pens", "stones", "coins", "shells", "cards", "balls", "keys");

    private static final List<String> GETS = List.of("buys", "finds", "gets", "is given");
    private static final List<String> LOSES = List.of("sells", "loses", "gives away", "throws away");

    private static final List<String> WORDS = List.of(
            ("red blue green white black old new small large warm cold quick slow quiet loud long short round flat deep")
                    .split(" "));

    private static final int MOST = 40;

    /** Of 2,500, the last one is missed by so many draws once in 500 million times. */
    private static final int MISSES = 50_000;

    /** Elements of which problems are learned, and those of which they are asked: even and odd places of a shuffled table. */
    private static final long ELEMENTS_SEED = 20240702;

    private Problems() {}

    /**
     * {@return word problems of two steps with their solutions} The same seed gives other problems for another part.
     *
     * @param count how many, all of them different
     * @param seed  of which
     * @param part  texts of another part are of other problems: a problem belongs to one of them
     */
    public static List<Problem> words(int count, long seed, Part part) {
        return different(count, seed, part, Problems::word);
    }

    /**
     * {@return problems that take knowledge of the atomic numbers of two elements, with their solutions} Those to learn from are
     * about one half of the elements, those to measure with about the other, of which the model only knows what it was
     * pretrained on.
     *
     * @param count how many, all of them different, at most: there are some 2,400 of each part
     * @param seed  of which
     * @param part  of the elements
     */
    public static List<Problem> elements(int count, long seed, Part part) {
        List<CSVRecord> elements = new ArrayList<>(Facts.table("elements"));
        Collections.shuffle(elements, new Random(ELEMENTS_SEED));
        List<CSVRecord> own = new ArrayList<>();
        for (int i = part.ordinal(); i < elements.size(); i += Part.values().length) {
            own.add(elements.get(i));
        }
        Random random = new Random(seed);
        return different(count, number -> element(Facts.pick(own, random), Facts.pick(own, random)), Problem::asked);
    }

    /**
     * {@return instructions with answers}
     *
     * @param count how many, all of them different
     * @param seed  of which
     * @param part  as {@link #words} has it
     */
    public static List<Problem> instructions(int count, long seed, Part part) {
        return different(count, seed, part, Problems::instruction);
    }

    /** What a text is for. */
    public enum Part {
        /** To learn from. */
        LEARNED,
        /** To measure with. */
        HELD
    }

    private static List<Problem> different(int count, long seed, Part part, Function<Random, Problem> make) {
        Random random = new Random(seed);
        return different(
                count,
                number -> {
                    Problem problem = make.apply(random);
                    while (isHeld(problem.asked()) != (part == Part.HELD)) {
                        problem = make.apply(random);
                    }
                    return problem;
                },
                Problem::asked);
    }

    /** Whether a text belongs to the tenth that no model learns from. */
    static boolean isHeld(String asked) {
        return (asked.hashCode() * 0x9E3779B9 >>> 16) % 10 == 0;
    }

    /**
     * {@return different ones, or fewer if so many drawn one after the other were all there already}
     *
     * @param draw makes one, given the number of those there are
     * @param name of one, by which it's told from the others
     */
    static <T> List<T> different(int count, IntFunction<T> draw, Function<T, String> name) {
        Map<String, T> found = new LinkedHashMap<>();
        for (int misses = 0; found.size() < count && misses < MISSES; ) {
            T drawn = draw.apply(found.size());
            misses = found.putIfAbsent(name.apply(drawn), drawn) == null ? 0 : misses + 1;
        }
        return List.copyOf(found.values());
    }

    private static Problem word(Random random) {
        String name = Facts.pick(NAMES, random);
        String things = Facts.pick(THINGS, random);
        int first = 1 + random.nextInt(MOST);
        int more = 1 + random.nextInt(MOST);
        int less = 1 + random.nextInt(Math.min(MOST, first + more));
        boolean gain = random.nextBoolean();
        if (gain) {
            int sum = first + more;
            return Problem.worked(
                    "%s has %d %s. %s %s %d and %s %d. How many %s does %s have?"
                            .formatted(
                                    name,
                                    first,
                                    things,
                                    name,
                                    Facts.pick(GETS, random),
                                    more,
                                    Facts.pick(LOSES, random),
                                    less,
                                    things,
                                    name),
                    "%d + %d = %d. %d - %d = %d.".formatted(first, more, sum, sum, less, sum - less),
                    sum - less);
        }
        String other = Facts.pick(NAMES, random);
        while (other.equals(name)) {
            other = Facts.pick(NAMES, random);
        }
        int others = first + more;
        return Problem.worked(
                "%s has %d %s. %s has %d more. How many %s do they have together?"
                        .formatted(name, first, things, other, more, things),
                "%d + %d = %d. %d + %d = %d.".formatted(first, more, others, first, others, first + others),
                first + others);
    }

    private static Problem element(CSVRecord one, CSVRecord other) {
        String first = one.get("element");
        String second = other.get("element");
        int a = Integer.parseInt(one.get("number"));
        int b = Integer.parseInt(other.get("number"));
        return Problem.worked(
                "How many protons have an atom of %s and an atom of %s together?".formatted(first, second),
                "The atomic number of %s is %d. The atomic number of %s is %d. %d + %d = %d."
                        .formatted(first, a, second, b, a, b, a + b),
                a + b);
    }

    private static Problem instruction(Random random) {
        List<String> words = new ArrayList<>(WORDS);
        Collections.shuffle(words, random);
        words = words.subList(0, 3 + random.nextInt(3));
        String list = String.join(", ", words);
        int number = random.nextInt(words.size());
        String word = words.get(number);
        return switch (random.nextInt(6)) {
            case 0 -> instruction("Write the word %s twice.".formatted(word), word + " " + word);
            case 1 -> instruction("Give me the last of these words: %s.".formatted(list), words.get(words.size() - 1));
            case 2 -> instruction("Give me the first of these words: %s.".formatted(list), words.get(0));
            case 3 -> {
                Collections.reverse(words);
                yield instruction("Turn these words around: %s.".formatted(list), String.join(", ", words));
            }
            case 4 -> instruction("Count these words: %s.".formatted(list), String.valueOf(words.size()));
            default -> instruction(
                    "Leave out the word %s: %s.".formatted(word, list),
                    words.stream().filter(kept -> !kept.equals(word)).collect(Collectors.joining(", ")));
        };
    }

    private static Problem instruction(String asked, String answer) {
        return new Problem(asked, "Instruction: " + asked + "\nResponse:", answer, answer);
    }
}
