package io.github.dl4jretention.samples;

import io.github.dl4jretention.lm.Generator;
import io.github.dl4jretention.samples.console.Console;
import java.io.IOException;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Prints a prompt and what a model writes after it, and nothing else, on standard output. */
@Command(
        name = "generate",
        mixinStandardHelpOptions = true,
        showDefaultValues = true,
        sortOptions = false,
        description = "Prints a prompt and what a language model writes after it.")
public final class Generate implements Callable<Integer> {

    @Mixin
    private ModelOption model = new ModelOption();

    @Option(names = "--prompt", paramLabel = "TEXT", description = "What the text begins with. Default: nothing.")
    private String prompt = "";

    @Option(names = "--tokens", converter = Errors.Count.class, description = "New tokens, at most.")
    private int tokens = 100;

    @Option(
            names = "--temperature",
            converter = Errors.AtLeastZero.class,
            description = "0 takes the likeliest token each time, 1 draws from the model's own distribution.")
    private double temperature = 0.8;

    @Option(names = "--seed", description = "Seed of the draws.")
    private long seed = 1;

    /** @param args see {@code --help} */
    public static void main(String[] args) {
        Console.prepare(1);
        System.exit(commandLine().execute(args));
    }

    static CommandLine commandLine() {
        return Errors.asLines(new CommandLine(new Generate()));
    }

    @Override
    public Integer call() throws IOException {
        Generator generator = Generator.of(model.load())
                .temperature(temperature)
                .maxTokens(tokens)
                .seed(seed)
                .onToken((number, id, text) -> {
                    System.out.print(text);
                    System.out.flush();
                });
        System.out.print(prompt);
        generator.generate(prompt);
        System.out.println();
        return CommandLine.ExitCode.OK;
    }
}
