package io.github.dl4jretention.loss.samediff;

import java.io.PrintStream;
import org.nd4j.autodiff.samediff.SameDiff;

/** Keeps the lines that M2.1 prints for each differentiated operation off the user's screen. */
public final class SameDiffMessages {

    private static final String NOISE = "Added differentiated op";

    private SameDiffMessages() {}

    /** Creates the gradient function, dropping only this thread's notes while it does so. */
    public static synchronized void createGradFunctionQuietly(SameDiff sd, String... variables) {
        PrintStream screen = System.out;
        Thread builder = Thread.currentThread();
        PrintStream filter = new PrintStream(screen, true) {
            @Override
            public void println(String line) {
                if (Thread.currentThread() != builder || line == null || !line.startsWith(NOISE)) {
                    screen.println(line);
                }
            }
        };
        System.setOut(filter);
        try {
            sd.createGradFunction(variables);
        } finally {
            if (System.out == filter) {
                System.setOut(screen);
            }
        }
    }
}
