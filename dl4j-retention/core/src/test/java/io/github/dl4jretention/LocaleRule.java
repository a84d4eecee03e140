package io.github.dl4jretention;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;

import com.tngtech.archunit.core.domain.JavaClasses;

/** A rule for the classes of each module. */
public final class LocaleRule {

    private LocaleRule() {}

    /** Nothing is formatted in the default locale: names of files, contents and messages would follow the user's language. */
    public static void check(JavaClasses classes, String packages) {
        noClasses()
                .that()
                .resideInAPackage(packages)
                .should()
                .callMethod(String.class, "formatted", Object[].class)
                .orShould()
                .callMethod(String.class, "format", String.class, Object[].class)
                .check(classes);
    }
}
