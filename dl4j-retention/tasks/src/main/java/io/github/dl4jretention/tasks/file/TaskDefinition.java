package io.github.dl4jretention.tasks.file;

import io.github.dl4jretention.tasks.metric.AnswerFilter;
import io.github.dl4jretention.tasks.metric.AnswerMatch;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * One task, as its YAML file says it. docs/tasks.md lists all keys. What the file leaves out is as lm-evaluation-harness
 * 0.4.13 has it for the format.
 *
 * @param name      in reports; default: the file's name without its ending
 * @param file      of the definition
 * @param format    of the questions
 * @param source    whether it's to be kept ({@code role: source}, the default) or to be learned ({@code role: target})
 * @param data      file of questions
 * @param limit     questions from the beginning, at most
 * @param prompting how a question becomes a prompt
 * @param writing   how the model writes; null for kinds in which it doesn't
 * @param scoring   what is right
 */
public record TaskDefinition(
        String name,
        Path file,
        TaskFormat format,
        boolean source,
        Path data,
        int limit,
        Prompting prompting,
        @Nullable Writing writing,
        Scoring scoring) {

    /**
     * How a question becomes a prompt.
     *
     * @param description before everything else; {@code {subject}} is the question's
     * @param template    of a question, with {@code {question}}, {@code {choices}} (lines that begin with letters) and
     *     {@code {subject}}
     * @param separator   between examples
     * @param delimiter   between a prompt and its answer
     * @param letters     whether the answer is the letter of a choice, not its text
     * @param chat        whether the prompt goes through the model's chat template
     * @param examples    worked examples
     */
    public record Prompting(
            String description,
            String template,
            String separator,
            String delimiter,
            boolean letters,
            boolean chat,
            Examples examples) {}

    /**
     * Worked examples before a question, the same ones for all questions; a question is never an example of itself.
     *
     * @param count how many; 0 for none
     * @param file  where they come from; null for the questions' own file
     * @param seed  draws them; null takes the first
     */
    public record Examples(int count, @Nullable Path file, @Nullable Long seed) {}

    /**
     * How the model writes.
     *
     * @param stops       texts before which it ends
     * @param maxTokens   new tokens, at most
     * @param temperature 0 for the likeliest token each time
     * @param topP        see {@code Generator}
     * @param samples     answers to each question
     * @param seed        of the draws
     */
    public record Writing(List<String> stops, int maxTokens, double temperature, double topP, int samples, long seed) {}

    /**
     * What is right.
     *
     * @param metric     the one that stands for the task in comparisons
     * @param filters    that find the answer, each with a metric of its own
     * @param match      when two answers are the same
     * @param tries      k of each pass@k
     * @param judgements the judge's file; null for none
     */
    public record Scoring(
            String metric,
            List<AnswerFilter> filters,
            AnswerMatch match,
            List<Integer> tries,
            @Nullable Path judgements) {}

    /** {@return what it asks} */
    public TaskKind kind() {
        return format.kind();
    }

    /**
     * {@return file and line of a key; the first line for one that isn't there}
     *
     * @param key such as {@code chat}
     * @throws IOException if the file can't be read
     */
    public String place(String key) throws IOException {
        return new DefinitionReader(file).place("/" + key);
    }

    /** {@return everything by which the model's answers may differ, but for the files' content} */
    public String answering() {
        Examples examples = prompting.examples();
        return format + "\n" + limit + "\n"
                + new Prompting(
                        prompting.description(),
                        prompting.template(),
                        prompting.separator(),
                        prompting.delimiter(),
                        prompting.letters(),
                        prompting.chat(),
                        new Examples(examples.count(), null, examples.seed()))
                + "\n" + writing;
    }

    /**
     * {@return the task of a file}
     *
     * @param file in YAML
     * @throws IOException if it can't be read, a key is missing or unknown, or a value doesn't fit; the message names the
     *     file and the line
     */
    public static TaskDefinition read(Path file) throws IOException {
        return new DefinitionReader(file).read();
    }
}
