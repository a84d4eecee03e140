package io.github.dl4jretention.samples.lesson;

import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.Reader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import org.apache.commons.csv.CSVFormat;
import org.apache.commons.csv.CSVRecord;

/**
 * Facts about countries, states, elements, words, works and events, as sentences and as questions.
 *
 * <p>All facts are in the texts as statements, in several wordings. Four fifths are in them as questions too; the others
 * are held out, so that whoever answers them has joined what it read with how questions are answered. Each relation also
 * has a wording of its question that no text has. That such a mixture teaches a model to answer is shown in Allen-Zhu and Li,
 * "Physics of Language Models: Part 3.1", https://arxiv.org/abs/2309.14316.
 */
public final class Facts {

    private static final CSVFormat TABLE =
            CSVFormat.DEFAULT.builder().setHeader().setSkipHeaderRecord(true).build();

    private static final long HELD_SEED = 20240701;
    /** One fact of so many is never asked. */
    private static final int HELD = 5;

    private static final int STATEMENTS = 8;
    private static final int QUESTIONS = 6;
    private static final int OTHERS = 3;

    private final List<Fact> facts;
    private final Map<String, List<Fact>> byRelation = new LinkedHashMap<>();

    /**
     * What facts of one kind have in common.
     *
     * @param statements with the places {s} for the subject and {a} for the answer
     * @param questions  with the place {s}
     * @param unseen     a question in a wording that no text has
     * @param single     whether a subject has one right answer, unlike a country's languages
     */
    private record Relation(
            String name, List<String> statements, List<String> questions, String unseen, boolean single) {}

    /** @param held whether no text has it as a question */
    private record Fact(Relation relation, String subject, String answer, boolean held) {

        String filled(String template) {
            String text = template.replace("{s}", subject).replace("{a}", answer);
            return text.substring(0, 1).toUpperCase(Locale.ROOT) + text.substring(1);
        }
    }

    private Facts(List<Fact> facts) {
        this.facts = facts;
        facts.forEach(fact -> byRelation
                .computeIfAbsent(fact.relation.name, name -> new ArrayList<>())
                .add(fact));
    }

    /** {@return the facts of the tables that come with the samples} */
    public static Facts read() {
        List<Fact> facts = new ArrayList<>();
        for (CSVRecord row : table("relations")) {
            Relation relation = new Relation(
                    row.get("relation"),
                    List.of(row.get("statements").split("\\|")),
                    List.of(row.get("questions").split("\\|")),
                    row.get("unseen"),
                    row.get("right").equals("one"));
            List<CSVRecord> subjects = new ArrayList<>(table(row.get("table")));
            Collections.shuffle(subjects, new Random(HELD_SEED + relation.name.hashCode()));
            for (int i = 0; i < subjects.size(); i++) {
                CSVRecord subject = subjects.get(i);
                facts.add(new Fact(
                        relation, subject.get(row.get("subject")), subject.get(row.get("answer")), i % HELD == 0));
            }
        }
        return new Facts(List.copyOf(facts));
    }

    /** The rows of a table of the samples. */
    static List<CSVRecord> table(String name) {
        try (InputStream in = Objects.requireNonNull(Facts.class.getResourceAsStream(name + ".csv"), name);
                Reader reader = new InputStreamReader(in, StandardCharsets.UTF_8)) {
            return TABLE.parse(reader).getRecords();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** {@return how many there are} */
    public int size() {
        return facts.size();
    }

    /**
     * {@return documents: of every two one has eight statements, the other six questions with their answers} Half of those of
     * questions are all of one relation.
     *
     * @param count how many
     * @param seed  of what they say
     */
    public List<String> documents(int count, long seed) {
        Random random = new Random(seed);
        List<List<Fact>> relations = List.copyOf(byRelation.values());
        List<String> documents = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            StringBuilder document = new StringBuilder();
            if (i % 2 == 0) {
                for (int j = 0; j < STATEMENTS; j++) {
                    Fact fact = pick(facts, random);
                    document.append(fact.filled(pick(fact.relation.statements, random)))
                            .append(j % 4 == 3 ? "\n" : " ");
                }
            } else {
                List<Fact> from = random.nextBoolean() ? facts : pick(relations, random);
                for (int j = 0; j < QUESTIONS; j++) {
                    Fact fact = pick(from, random);
                    while (fact.held) {
                        fact = pick(from, random);
                    }
                    document.append(Asked.text(fact.filled(pick(fact.relation.questions, random)), fact.answer));
                }
            }
            documents.add(document.toString());
        }
        return documents;
    }

    /**
     * {@return the facts that no text has as a question, as questions in a wording that texts have for others, with three wrong
     * answers of the same kind where a question has one right answer} In a random order of all relations.
     *
     * @param seed of the order, the wordings and the wrong answers
     */
    public List<Asked> held(long seed) {
        return asked(facts.stream().filter(Fact::held).toList(), false, seed);
    }

    /**
     * {@return all facts as questions in a wording that no text has}
     *
     * @param seed of the order and the wrong answers
     */
    public List<Asked> reworded(long seed) {
        return asked(facts, true, seed);
    }

    private List<Asked> asked(List<Fact> about, boolean unseen, long seed) {
        Random random = new Random(seed);
        List<Asked> questions = new ArrayList<>();
        for (Fact fact : about) {
            String wording = unseen ? fact.relation.unseen : pick(fact.relation.questions, random);
            questions.add(new Asked(fact.relation.name, fact.filled(wording), fact.answer, others(fact, random)));
        }
        Collections.shuffle(questions, random);
        return questions;
    }

    private List<String> others(Fact fact, Random random) {
        if (!fact.relation.single) {
            return List.of();
        }
        List<String> answers = new ArrayList<>(Objects.requireNonNull(byRelation.get(fact.relation.name)).stream()
                .map(Fact::answer)
                .distinct()
                .filter(answer -> !answer.equals(fact.answer))
                .toList());
        Collections.shuffle(answers, random);
        return List.copyOf(answers.subList(0, OTHERS));
    }

    static <T> T pick(List<T> list, Random random) {
        return list.get(random.nextInt(list.size()));
    }
}
