package io.github.dl4jretention.tasks.metric;

import java.util.Arrays;
import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * Finds the answer in what a model wrote. The rules are those of lm-evaluation-harness 0.4.9
 * (https://github.com/EleutherAI/lm-evaluation-harness), in our own code.
 */
public enum AnswerFilter {

    /** All that the model wrote. */
    NONE("none") {
        @Override
        public String apply(String written) {
            return written;
        }
    },

    /** All but one space at its beginning: {@code remove_whitespace}, as TriviaQA 3.0 has it. */
    TRIM("trim") {
        @Override
        public String apply(String written) {
            return written.startsWith(" ") ? written.substring(1) : written;
        }
    },

    /** The first number after {@code ####}: {@code strict-match} of GSM8K 3.0. */
    STRICT("strict") {
        @Override
        public String apply(String written) {
            Matcher matcher = AFTER_HASHES.matcher(written);
            return matcher.find() ? matcher.group(1).strip() : INVALID;
        }
    },

    /** The last number: {@code flexible-extract} of GSM8K 3.0. */
    LAST_NUMBER("last-number") {
        @Override
        public String apply(String written) {
            return NUMBER.matcher(written)
                    .results()
                    .map(MatchResult::group)
                    .reduce((before, last) -> last)
                    .map(String::strip)
                    .orElse(INVALID);
        }
    },

    /**
     * What is in the last {@code \boxed{...}}; without one what is in {@code \[...\]}, then what is between the first and
     * the last dollar sign, then everything: {@code extract_answer} of hendrycks_math in the harness after 0.4.9. Where
     * it fails, at {@code \fbox{...}}, this gives what is in the box.
     */
    BOXED("boxed") {
        @Override
        public String apply(String written) {
            String boxed = MathAnswers.lastBoxed(written);
            if (boxed != null) {
                return boxed;
            }
            Matcher matcher = DISPLAYED.matcher(written);
            return matcher.find() ? matcher.group(1).strip() : DOLLARS.apply(written);
        }
    },

    /** What is between the first and the last dollar sign, or everything: hendrycks_math 1.0 in the harness 0.4.9. */
    DOLLARS("dollars") {
        @Override
        public String apply(String written) {
            int first = written.indexOf('$');
            int last = written.lastIndexOf('$');
            return last > first ? written.substring(first + 1, last) : written;
        }
    };

    /** What a filter gives that finds no answer. */
    public static final String INVALID = "[invalid]";

    private static final Pattern AFTER_HASHES = Pattern.compile("#### (-?[0-9.,]+)");
    private static final Pattern NUMBER = Pattern.compile("-?[$0-9.,]{2,}|-?[0-9]+");
    private static final Pattern DISPLAYED = Pattern.compile("\\\\\\[(.+?)\\\\\\]", Pattern.DOTALL);

    private final String label;

    AnswerFilter(String label) {
        this.label = label;
    }

    /**
     * {@return the answer}
     *
     * @param written by the model
     */
    public abstract String apply(String written);

    /** {@return its name in task files and reports} */
    public String label() {
        return label;
    }

    /**
     * {@return the filter of a name}
     *
     * @param label such as {@code last-number}
     * @throws IllegalArgumentException if there's none; the message lists them
     */
    public static AnswerFilter of(String label) {
        return Arrays.stream(values())
                .filter(filter -> filter.label.equals(label))
                .findFirst()
                .orElseThrow(() -> new IllegalArgumentException("expected one of "
                        + Arrays.stream(values()).map(AnswerFilter::label).collect(Collectors.joining(", "))
                        + ", got " + label));
    }
}
