package io.github.dl4jretention.samples.text;

import java.util.List;
import java.util.function.UnaryOperator;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The kinds of text of the samples. Four are taken from source jars that Maven resolves: English prose (the sentences of
 * Javadoc comments), Java code and Scala code (both without their comments), of which the sample models are made; and
 * Kotlin code, which they have never seen. The others are made from seeds, for a base that {@code Pretrain --decoder} makes:
 * facts and skills, which it's pretrained on, and problems, of which the answers are learned.
 */
public enum Domain {
    /** English prose: the Javadoc of Apache Lucene and Apache Commons Math, without tags and markup. */
    PROSE(List.of("lucene-core-9.12.0-sources.jar", "commons-math3-3.6.1-sources.jar"), ".java", Domain::javadocProse),
    /** Java code: Guava, without comments. */
    JAVA(List.of("guava-33.3.1-jre-sources.jar"), ".java", Domain::withoutComments),
    /** Scala code: the Scala standard library, without comments. */
    SCALA(List.of("scala-library-2.13.15-sources.jar"), ".scala", Domain::withoutComments),
    /** Kotlin code: kotlinx.coroutines and OkHttp, without comments; in no sample model's pretraining. */
    KOTLIN(
            List.of("kotlinx-coroutines-core-jvm-1.8.1-sources.jar", "okhttp-4.12.0-sources.jar"),
            ".kt",
            Domain::withoutComments),
    /** Statements and questions about countries, elements, words and the like. */
    FACTS,
    /** Sums, lists and patterns. */
    SKILLS,
    /** Word problems, worked out in steps. */
    PROBLEMS,
    /** Problems that need the atomic numbers of two elements. */
    ELEMENTS,
    /** Instructions and what follows them. */
    INSTRUCTIONS;

    /** What the sample models are pretrained on. */
    public static final List<Domain> PRETRAINED = List.of(PROSE, JAVA, SCALA);

    private static final Pattern BLOCK_COMMENT = Pattern.compile("/\\*.*?\\*/", Pattern.DOTALL);
    private static final Pattern LINE_COMMENT = Pattern.compile("(?m)^[ \\t]*//.*\\R");
    private static final Pattern BLANK_LINES = Pattern.compile("\\R[ \\t]*(?:\\R[ \\t]*)+\\R");
    private static final Pattern JAVADOC = Pattern.compile("/\\*\\*(.*?)\\*/", Pattern.DOTALL);
    private static final Pattern COMMENT_MARGIN = Pattern.compile("(?m)^[ \\t]*\\*[ \\t]?");
    private static final Pattern FIRST_BLOCK_TAG = Pattern.compile("(?s)(?:^|\\R)[ \\t]*@.*");
    private static final Pattern INLINE_TAG = Pattern.compile("\\{@\\w+\\s+#?([^}]*)}");
    private static final Pattern MARKUP = Pattern.compile("<[^>]+>");
    private static final Pattern SPACES = Pattern.compile("[ \\t]*\\R[ \\t]*|[ \\t]{2,}");
    private static final int SHORTEST_PARAGRAPH = 80;

    private final List<String> jars;
    private final String suffix;
    private final UnaryOperator<String> extraction;

    Domain() {
        this(List.of(), "", UnaryOperator.identity());
    }

    Domain(List<String> jars, String suffix, UnaryOperator<String> extraction) {
        this.jars = jars;
        this.suffix = suffix;
        this.extraction = extraction;
    }

    /** Names of the source jars, as Maven copies them into the corpus folder; none for a text that is made from seeds. */
    public List<String> jars() {
        return jars;
    }

    /** Whether a jar entry belongs to this domain. */
    boolean accepts(String entry) {
        return entry.endsWith(suffix) && !entry.endsWith("package-info.java") && !entry.endsWith("module-info.java");
    }

    /** This domain's text in one source file; empty if the file has none. */
    String extract(String source) {
        return extraction.apply(source);
    }

    private static String withoutComments(String source) {
        String code = LINE_COMMENT
                .matcher(BLOCK_COMMENT.matcher(source).replaceAll(""))
                .replaceAll("");
        return BLANK_LINES.matcher(code).replaceAll("\n\n").strip() + "\n\n";
    }

    private static String javadocProse(String source) {
        StringBuilder prose = new StringBuilder();
        Matcher comments = JAVADOC.matcher(source);
        while (comments.find()) {
            String text = COMMENT_MARGIN.matcher(comments.group(1)).replaceAll("");
            text = FIRST_BLOCK_TAG.matcher(text).replaceFirst("");
            text = INLINE_TAG.matcher(text).replaceAll("$1");
            text = MARKUP.matcher(text).replaceAll(" ");
            text = text.replace("&lt;", "<")
                    .replace("&gt;", ">")
                    .replace("&nbsp;", " ")
                    .replace("&amp;", "&");
            text = SPACES.matcher(text).replaceAll(" ").strip();
            if (text.length() >= SHORTEST_PARAGRAPH) {
                prose.append(text).append("\n\n");
            }
        }
        return prose.toString();
    }
}
