package io.github.dl4jretention.tasks;

import io.github.dl4jretention.internal.Workers;
import io.github.dl4jretention.lm.ChatMessage;
import io.github.dl4jretention.lm.Tokenizer;
import io.github.dl4jretention.tasks.file.Question;
import io.github.dl4jretention.tasks.file.QuestionReader;
import io.github.dl4jretention.tasks.file.TaskDefinition;
import io.github.dl4jretention.tasks.file.TaskDefinition.Examples;
import io.github.dl4jretention.tasks.file.TaskDefinition.Prompting;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/** The prompts of a task, as texts and as tokens. */
final class Prompts {

    private static final Pattern PLACE = Pattern.compile("\\{(question|choices|subject)}");

    private final Prompting prompting;
    private final List<Question> questions;
    private final List<Question> pool;
    private final int[] order;
    private final Tokenizer tokenizer;

    /** @throws IOException if the examples can't be read or are too few, or the model has no chat template that it needs */
    Prompts(TaskDefinition task, List<Question> questions, Tokenizer tokenizer) throws IOException {
        this.prompting = task.prompting();
        this.questions = questions;
        this.tokenizer = tokenizer;
        Examples examples = prompting.examples();
        pool = examples.file() == null
                ? questions
                : QuestionReader.read(task.format(), examples.file(), Integer.MAX_VALUE);
        order = order(pool.size(), examples.seed());
        if (prompting.chat() && !tokenizer.hasChatTemplate()) {
            throw new IOException(task.place("chat") + ": chat: expected a model with a chat template, got one without;"
                    + " say chat: false, or take a folder whose tokenizer_config.json has a chat_template");
        }
        for (Question question : questions) {
            int found = exampleNumbers(question).length;
            if (found < examples.count()) {
                throw new IOException(task.place("fewShot") + ": fewShot: expected " + examples.count()
                        + " other questions" + (question.subject().isEmpty() ? "" : " about " + question.subject())
                        + " for " + question.place() + ", got " + found + " in "
                        + (examples.file() == null ? task.data() : examples.file()));
            }
        }
    }

    private static int[] order(int size, @Nullable Long seed) {
        int[] order = IntStream.range(0, size).toArray();
        if (seed != null) {
            SplittableRandom random = new SplittableRandom(seed);
            for (int i = size - 1; i > 0; i--) {
                int j = random.nextInt(i + 1);
                int other = order[j];
                order[j] = order[i];
                order[i] = other;
            }
        }
        return order;
    }

    private List<Question> examples(Question question) {
        return Arrays.stream(exampleNumbers(question)).mapToObj(pool::get).toList();
    }

    private static boolean isOther(Question one, Question other) {
        return !one.text().equals(other.text()) || !one.choices().equals(other.choices());
    }

    /** Of the question's own subject, and never the question itself, which may be in the file of examples, too. */
    private int[] exampleNumbers(Question question) {
        return Arrays.stream(order)
                .filter(i ->
                        isOther(pool.get(i), question) && pool.get(i).subject().equals(question.subject()))
                .limit(prompting.examples().count())
                .toArray();
    }

    /**
     * {@return what's the same for questions with the same examples, and another for others} Those that examples were drawn
     * from have others than the rest.
     *
     * @param number of the question
     */
    String group(int number) {
        return Arrays.toString(exampleNumbers(questions.get(number)));
    }

    /** {@return what a question's choice, or its right answer, looks like} */
    String shown(Question question, int choice) {
        return prompting.letters()
                ? Character.toString((char) ('A' + choice))
                : question.choices().get(choice);
    }

    private String right(Question question) {
        return question.gold() >= 0 ? shown(question, question.gold()) : question.answer();
    }

    private static String filled(String template, Question question) {
        String choices = IntStream.range(0, question.choices().size())
                .mapToObj(i -> (char) ('A' + i) + ". " + question.choices().get(i))
                .collect(Collectors.joining("\n"));
        Map<String, String> values = Map.of(
                "question", question.text(),
                "choices", choices,
                "subject", question.subject());
        return PLACE.matcher(template)
                .replaceAll(place -> Matcher.quoteReplacement(values.getOrDefault(place.group(1), "")));
    }

    /** {@return the prompt of a question, without an answer} */
    String text(int number) {
        Question question = questions.get(number);
        String description = filled(prompting.description(), question);
        List<ChatMessage> messages = new ArrayList<>();
        StringBuilder plain = new StringBuilder(description);
        for (Question example : examples(question)) {
            String asked = filled(prompting.template(), example);
            messages.add(new ChatMessage("user", asked));
            messages.add(new ChatMessage("assistant", right(example)));
            plain.append(asked).append(prompting.delimiter()).append(right(example));
            plain.append(prompting.separator());
        }
        String asked = filled(prompting.template(), question);
        if (!prompting.chat()) {
            return plain.append(asked).toString();
        }
        if (!description.isBlank()) {
            messages.add(0, new ChatMessage("system", description.strip()));
        }
        messages.add(new ChatMessage("user", asked));
        return tokenizer.chat(messages, true);
    }

    /** {@return what's asked, without examples} */
    String asked(Question question) {
        return filled(prompting.template(), question);
    }

    /** {@return a prompt's tokens; if it has none, the token that comes before texts} */
    int[] encoded(String text) {
        int[] tokens = tokenizer.encode(text, !prompting.chat());
        return tokens.length == 0 ? new int[] {beforeTexts(tokenizer)} : tokens;
    }

    /** {@return the token that begins a text; the one that ends texts, or a line break, for models without} */
    static int beforeTexts(Tokenizer tokenizer) {
        if (tokenizer.beginning() >= 0) {
            return tokenizer.beginning();
        }
        return tokenizer.end() >= 0 ? tokenizer.end() : tokenizer.encode("\n", false)[0];
    }

    /**
     * A prompt and its continuations. White space at the prompt's end belongs to the continuation, whose tokens are those
     * that prompt and continuation together have more than the prompt.
     */
    record Choices(int[] prompt, int[][] continuations) {}

    /** {@return those of all questions} On all processors: a prompt is encoded as often as there are choices. */
    List<Choices> choices() throws IOException {
        Choices[] all = new Choices[questions.size()];
        IOException[] failed = new IOException[all.length];
        int parts = Math.min(Workers.ofMachine().rows(), all.length);
        Workers.split(all.length, parts, (part, from, to) -> {
            for (int i = from; i < to; i++) {
                try {
                    all[i] = choices(i);
                } catch (IOException e) {
                    failed[i] = e;
                }
            }
        });
        for (IOException failure : failed) {
            if (failure != null) {
                throw failure;
            }
        }
        return Arrays.asList(all);
    }

    Choices choices(int number) throws IOException {
        Question question = questions.get(number);
        String whole = text(number);
        String prompt = whole.stripTrailing();
        int[] tokens = encoded(prompt);
        int[][] continuations = new int[question.choices().size()][];
        for (int i = 0; i < continuations.length; i++) {
            String continuation = whole.substring(prompt.length()) + prompting.delimiter() + shown(question, i);
            int[] both = tokenizer.encode(prompt + continuation, !prompting.chat());
            int before = prompt.isEmpty() ? tokenizer.encode("", !prompting.chat()).length : tokens.length;
            continuations[i] = both.length > before
                    ? Arrays.copyOfRange(both, before, both.length)
                    : tokenizer.encode(continuation, false);
            if (continuations[i].length == 0) {
                throw new IOException(question.place() + ": choices: expected texts of at least one token, got \""
                        + shown(question, i) + "\"");
            }
        }
        return new Choices(tokens, continuations);
    }
}
