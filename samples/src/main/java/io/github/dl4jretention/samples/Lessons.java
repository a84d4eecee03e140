package io.github.dl4jretention.samples;

import io.github.dl4jretention.samples.console.Console;
import io.github.dl4jretention.samples.lesson.Asked;
import io.github.dl4jretention.samples.lesson.Facts;
import io.github.dl4jretention.samples.lesson.Problem;
import io.github.dl4jretention.samples.lesson.Problems;
import io.github.dl4jretention.samples.lesson.Skills;
import io.github.dl4jretention.samples.lesson.TaskFiles;
import io.github.dl4jretention.samples.text.Corpus;
import io.github.dl4jretention.samples.text.Domain;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Random;
import java.util.concurrent.Callable;
import org.nd4j.shade.jackson.databind.ObjectMapper;
import org.nd4j.shade.jackson.databind.node.ObjectNode;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Writes what the samples' base is asked, what it's finetuned on, and texts that it must not forget. */
@Command(
        name = "lessons",
        mixinStandardHelpOptions = true,
        showDefaultValues = true,
        sortOptions = false,
        description = {
            "Writes folders: tasks, which Evaluate asks, with tasks-NAME for each text that can be learned; watch, some",
            "tasks to ask in pretraining; learn, texts to finetune on; and keep, texts that must not be forgotten."
        })
public final class Lessons implements Callable<Integer> {

    /** What the base can do, and is to be able to do after a finetuning. */
    private static final List<String> SOURCES =
            List.of("knowledge", "wordings", "choices", "arithmetic", "lists", "patterns", "prose", "java");

    private static final int WATCHED = 60;
    private static final int KEPT_DOCUMENTS = 300;

    /** Code and prose that are read for a perplexity. */
    private static final int CHARACTERS = 20_000;

    private static final ObjectMapper MAPPER = new ObjectMapper();

    @Option(names = "--out", paramLabel = "DIR", required = true, description = "Where the folders go.")
    private Path out;

    @Option(names = "--questions", converter = Errors.Count.class, description = "Questions of a task, at most.")
    private int questions = 200;

    @Option(
            names = "--problems",
            converter = Errors.Count.class,
            description = "Problems and instructions to learn, of each kind.")
    private int problems = 2000;

    @Option(names = "--corpus", hidden = true)
    private Path corpusDirectory = Path.of("samples", "target", "corpus");

    /** @param args see {@code --help} */
    public static void main(String[] args) {
        Console.prepare(1);
        System.exit(commandLine().execute(args));
    }

    static CommandLine commandLine() {
        return Errors.asLines(new CommandLine(new Lessons()));
    }

    @Override
    public Integer call() throws IOException {
        Corpus corpus = Corpus.read(corpusDirectory);
        for (String folder : List.of("tasks", "learn", "keep")) {
            Files.createDirectories(out.resolve(folder));
        }
        TaskFiles tasks = new TaskFiles(out.resolve("tasks"));
        Facts facts = Facts.read();
        List<Asked> held = facts.held(Problems.QUESTIONS_SEED);
        tasks.answers("knowledge", first(held), "source", "maxTokens: 16\n");
        tasks.answers("wordings", first(facts.reworded(Problems.QUESTIONS_SEED + 1)), "source", "maxTokens: 16\n");
        choices(tasks, held);
        String lines = "prompt: \"{question}\"\nmaxTokens: 12\nmatch: exact\n";
        tasks.answers("arithmetic", Skills.arithmetic(questions, Problems.QUESTIONS_SEED), "source", lines);
        tasks.answers("lists", Skills.lists(questions, Problems.QUESTIONS_SEED), "source", lines);
        tasks.answers("patterns", Skills.patterns(questions, Problems.QUESTIONS_SEED), "source", lines);
        perplexity(tasks, corpus, Domain.PROSE, "source");
        perplexity(tasks, corpus, Domain.JAVA, "source");
        perplexity(tasks, corpus, Domain.KOTLIN, "target");

        worked(tasks, "problems", Problems.words(questions, Problems.QUESTIONS_SEED, Problems.Part.HELD));
        worked(tasks, "elements", Problems.elements(questions, Problems.QUESTIONS_SEED, Problems.Part.HELD));
        tasks.answers(
                "instructions",
                Problems.instructions(questions, Problems.QUESTIONS_SEED, Problems.Part.HELD).stream()
                        .map(problem -> new Asked("", problem.asked(), problem.answer(), List.of()))
                        .toList(),
                "target",
                "prompt: \"Instruction: {question}\\nResponse:\"\nmaxTokens: 24\nmatch: exact\n");
        learn("problems", Problems.words(problems, Problems.LEARNED_SEED, Problems.Part.LEARNED));
        learn("elements", Problems.elements(Math.min(problems, 1000), Problems.LEARNED_SEED, Problems.Part.LEARNED));
        learn("instructions", Problems.instructions(problems, Problems.LEARNED_SEED, Problems.Part.LEARNED));
        texts("learn/kotlin", strings(corpus, Domain.KOTLIN, Corpus.Part.FINETUNE));

        suite(
                "watch",
                List.of("knowledge", "wordings", "choices", "arithmetic", "patterns"),
                "limit: " + WATCHED + "\n");
        for (String target : List.of("problems", "elements", "instructions", "kotlin")) {
            List<String> names = new ArrayList<>(SOURCES);
            names.add(target);
            suite("tasks-" + target, names, "");
        }
        texts("keep/facts", facts.documents(KEPT_DOCUMENTS, Problems.LEARNED_SEED));
        texts("keep/skills", Skills.documents(KEPT_DOCUMENTS, Problems.LEARNED_SEED));
        texts("keep/prose", strings(corpus, Domain.PROSE, Corpus.Part.TEST));
        texts("keep/java", strings(corpus, Domain.JAVA, Corpus.Part.TEST));
        System.out.println("wrote tasks and texts to " + out.toAbsolutePath());
        return CommandLine.ExitCode.OK;
    }

    private static List<String> strings(Corpus corpus, Domain domain, Corpus.Part part) {
        return corpus.documents(domain, part).stream()
                .map(document -> new String(document, StandardCharsets.UTF_8))
                .toList();
    }

    private List<Asked> first(List<Asked> asked) {
        return asked.subList(0, Math.min(questions, asked.size()));
    }

    private void choices(TaskFiles tasks, List<Asked> asked) throws IOException {
        Random random = new Random(Problems.QUESTIONS_SEED);
        List<ObjectNode> lines = new ArrayList<>();
        for (Asked each : asked.stream()
                .filter(one -> !one.others().isEmpty())
                .limit(questions)
                .toList()) {
            List<String> choices = new ArrayList<>(each.others());
            choices.add(each.answer());
            Collections.shuffle(choices, random);
            ObjectNode line =
                    MAPPER.createObjectNode().put("question", each.question()).put("subject", each.subject());
            line.set("choices", MAPPER.valueToTree(choices));
            lines.add(line.put("answer", choices.indexOf(each.answer())));
        }
        tasks.questions("choices", "choices", "source", "", lines);
    }

    private static void worked(TaskFiles tasks, String name, List<Problem> asked) throws IOException {
        List<ObjectNode> lines = new ArrayList<>();
        for (Problem each : asked) {
            lines.add(MAPPER.createObjectNode().put("question", each.asked()).put("answer", each.answer()));
        }
        tasks.questions(name, "gsm8k", "target", "stop: [\"Question:\", \"\\n\\n\"]\nmaxTokens: 80\n", lines);
    }

    private static void perplexity(TaskFiles tasks, Corpus corpus, Domain domain, String role) throws IOException {
        String name = domain.name().toLowerCase(Locale.ROOT);
        StringBuilder text = new StringBuilder();
        strings(corpus, domain, Corpus.Part.TEST).stream()
                .takeWhile(document -> text.length() < CHARACTERS)
                .forEach(text::append);
        Files.writeString(
                tasks.folder().resolve(name + ".txt"), text.substring(0, Math.min(CHARACTERS, text.length())));
        tasks.definition(name, name + ".txt", "text", role, "metric: byte_perplexity\n");
    }

    /** Some of the tasks in a folder of their own. */
    private void suite(String folder, List<String> names, String more) throws IOException {
        Files.createDirectories(out.resolve(folder));
        for (String name : names) {
            String whole = Files.readString(out.resolve("tasks").resolve(name + ".yaml"));
            Files.writeString(
                    out.resolve(folder).resolve(name + ".yaml"), whole.replace("file: ", "file: ../tasks/") + more);
        }
    }

    private void learn(String name, List<Problem> learned) throws IOException {
        List<ObjectNode> lines = new ArrayList<>();
        for (Problem each : learned) {
            lines.add(MAPPER.createObjectNode().put("prompt", each.prompt()).put("completion", " " + each.worked()));
        }
        write("learn/" + name, lines);
    }

    private void texts(String name, List<String> documents) throws IOException {
        write(
                name,
                documents.stream()
                        .map(document -> MAPPER.createObjectNode().put("text", document))
                        .toList());
    }

    private void write(String name, List<ObjectNode> lines) throws IOException {
        TaskFiles.write(out.resolve(name + ".jsonl"), lines);
    }
}
